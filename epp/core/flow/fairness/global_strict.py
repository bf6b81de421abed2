"""global-strict-fairness-policy: the best head over all flows of the band, by the band's ordering policy.

Tenants are not told apart: with fcfs ordering the band is one queue. The default.
"""

from epp.core.flow.band import Flow
from epp.core.flow.live_heap import LiveHeap


class GlobalStrictFairness:
    """See the module. O(log flows) per change."""

    def __init__(self) -> None:
        self._heads: LiveHeap[Flow] = LiveHeap()

    def changed(self, flow: Flow) -> None:
        """See FairnessPolicy."""
        if flow.entries:
            self._heads.put(flow, flow.head[1])
        else:
            self._heads.discard(flow)

    def granted(self, flow: Flow) -> None:
        """Nothing to remember: heads are compared anew."""

    def next_flow(self) -> Flow:
        """See FairnessPolicy."""
        first = self._heads.first()
        if first is None:
            raise IndexError("every flow of the band is empty")
        return first[0]
