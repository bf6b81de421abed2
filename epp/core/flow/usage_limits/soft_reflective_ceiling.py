"""soft-reflective-ceiling-policy: lower bands are slowed down as saturation rises; the top band never is.

ceiling_i = 1 - i * saturation / (N - 1), i = 0 for the highest of N bands. Below it a band is open. At or above it, and
below saturation 1, it is open once in `period` asks, period = max(1, round(saturation / (1 - saturation))), so that its
share of the opportunities falls as saturation rises. At saturation 1 every lower band is closed.
Source: soft-reflective-ceiling-policy of llm-d-router. There an ask is a tick of 1 ms and bands are counted by rank;
here an ask is an opportunity to dispatch and bands are counted by priority, so that they may come and go.
"""

from collections.abc import Sequence


class SoftReflectiveCeiling:
    """See the module."""

    alternates = True

    def __init__(self) -> None:
        self._asks: dict[int, int] = {}
        """by priority: how often the band has been asked for while it was slowed down"""

    def ceilings(self, saturation: float, priorities: tuple[int, ...]) -> Sequence[float]:
        """See UsageLimitPolicy: 1.0 is open, 0.0 is closed."""
        if len(self._asks) > len(priorities):
            self._asks = {priority: self._asks[priority] for priority in priorities if priority in self._asks}
        return [self._ceiling(rank, saturation, priorities) for rank in range(len(priorities))]

    def _ceiling(self, rank: int, saturation: float, priorities: tuple[int, ...]) -> float:
        if rank == 0 or saturation < 1.0 - rank * saturation / (len(priorities) - 1):
            return 1.0
        if saturation >= 1.0:
            return 0.0
        period = max(1, int(saturation / (1.0 - saturation) + 0.5))
        asks = self._asks.get(priorities[rank], 0) + 1
        self._asks[priorities[rank]] = asks % (1 << 30)
        return 1.0 if asks % period == 0 else 0.0
