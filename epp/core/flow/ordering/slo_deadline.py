"""slo-deadline-ordering-policy: earliest wanted first token first. rank = received + x-slo-ttft-ms, seconds.

A request without the header, or with one that is no number, comes after all that have one. Ties by order of arrival.
"""

import math

from epp.core.flow.item import FlowItem


class SloDeadlineOrdering:
    """See the module."""

    def rank(self, item: FlowItem, enqueued_at: float, ttl_s: float | None) -> float:  # noqa: ARG002  one signature for all
        """Seconds; smallest first."""
        return math.inf if item.slo_ttft_s is None else item.received_at + item.slo_ttft_s
