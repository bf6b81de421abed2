"""edf-ordering-policy: earliest deadline first. rank = time of enqueueing + time to live, seconds.

The deadline is the one with which the request was queued: the smaller of the configured budget and the request's own.
Without any limit the request comes after all that have one. Ties by order of arrival.
"""

import math

from epp.core.flow.item import FlowItem


class EdfOrdering:
    """See the module."""

    def rank(self, item: FlowItem, enqueued_at: float, ttl_s: float | None) -> float:
        """Seconds; smallest first."""
        return min(math.inf if ttl_s is None else enqueued_at + ttl_s, item.deadline)
