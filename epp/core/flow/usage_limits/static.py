"""static-usage-limit-policy: one ceiling for every band, 1.0 unless configured. The default."""

from collections.abc import Sequence

from epp.core.config.flow_parameters import StaticUsageLimitParameters


class StaticUsageLimit:
    """See the module."""

    alternates = False

    def __init__(self, parameters: StaticUsageLimitParameters) -> None:
        self._threshold = parameters.threshold

    def ceilings(self, saturation: float, priorities: tuple[int, ...]) -> Sequence[float]:  # noqa: ARG002  one signature for all
        """See UsageLimitPolicy."""
        return (self._threshold,) * len(priorities)
