"""fcfs-ordering-policy: first come, first served. rank = time of enqueueing; ties by order of arrival."""

from epp.core.flow.item import FlowItem


class FcfsOrdering:
    """See the module."""

    def rank(self, item: FlowItem, enqueued_at: float, ttl_s: float | None) -> float:  # noqa: ARG002  one signature for all
        """Seconds; smallest first."""
        return enqueued_at
