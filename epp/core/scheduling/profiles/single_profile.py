"""single-profile-handler: one profile serves every request. Parameters are ignored, as in the reference."""

from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.plugins import ProfileResults
from epp.core.scheduling.profiles.one_profile import OneProfile


class SingleProfileHandler(OneProfile):
    """See the module."""

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:  # noqa: ARG002
        """The only profile there is; configuration loading refuses the handler beside several."""
        return None if results else names[0]
