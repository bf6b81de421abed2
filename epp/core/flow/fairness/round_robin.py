"""round-robin-fairness-policy: the flows that have items take turns, one request each.

A flow that gets its first item joins at the end of the round, one that was granted goes to the end, so that a flow
waits for at most one request of every other flow. The reference walks the sorted flow keys; the shares are the same.
"""

from collections import OrderedDict

from epp.core.flow.band import Flow


class RoundRobinFairness:
    """See the module. O(1) per change."""

    def __init__(self) -> None:
        self._round: OrderedDict[Flow, None] = OrderedDict()

    def changed(self, flow: Flow) -> None:
        """See FairnessPolicy."""
        if flow.entries:
            self._round.setdefault(flow)
        else:
            self._round.pop(flow, None)

    def granted(self, flow: Flow) -> None:
        """See FairnessPolicy."""
        if flow in self._round:
            self._round.move_to_end(flow)

    def next_flow(self) -> Flow:
        """See FairnessPolicy."""
        return next(iter(self._round))
