"""single-profile-handler: one profile serves every request. Parameters are ignored, as in the reference."""

from epp.core.scheduling.cycle import Cycle


class SingleProfileHandler:
    """See the module."""

    def profiles(self, cycle: Cycle, names: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG002  protocol's shape
        """The only profile there is; configuration loading refuses it beside several."""
        return names
