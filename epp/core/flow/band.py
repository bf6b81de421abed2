"""A priority band: its flows, their queues, what they hold."""

from collections import Counter
from typing import Protocol

import msgspec

from epp.core.config.flow_parameters import DEFAULT_BAND_BYTES, DEFAULT_BAND_REQUESTS
from epp.core.flow.events import FlowOutcome
from epp.core.flow.item import FlowItem, FlowKey
from epp.core.flow.live_heap import LiveHeap, Rank
from epp.core.flow.ticket import QueueTicket


class Entry:
    """An item in a queue."""

    __slots__ = ("enqueued_at", "flow", "item", "serial", "ticket")

    def __init__(self, item: FlowItem, ticket: QueueTicket, flow: "Flow", serial: int, enqueued_at: float) -> None:
        self.item = item
        self.ticket = ticket
        self.flow = flow
        self.serial = serial
        """order of arrival, unique"""
        self.enqueued_at = enqueued_at


class Flow:
    """The queue of one (fairness id, priority), in the order of the band's ordering policy."""

    __slots__ = ("body_bytes", "entries", "key")

    def __init__(self, key: FlowKey) -> None:
        self.key = key
        self.entries: LiveHeap[Entry] = LiveHeap()
        self.body_bytes = 0

    @property
    def head(self) -> tuple[Entry, Rank]:
        """Who goes next and its rank; the flow must not be empty."""
        first = self.entries.first()
        if first is None:
            raise IndexError(f"flow {self.key} is empty")
        return first


class OrderingPolicy(Protocol):
    """Says which item of a flow goes first."""

    def rank(self, item: FlowItem, enqueued_at: float, ttl_s: float | None) -> float:
        """Smallest first, in monotonic seconds; equal ones in the order of arrival. `ttl_s` None: no limit."""
        ...


class FairnessPolicy(Protocol):
    """Says which flow of a band goes first. One instance per band."""

    def changed(self, flow: Flow) -> None:
        """The flow has another head than before, or is empty now."""

    def granted(self, flow: Flow) -> None:
        """An item of the flow went; called after `changed`."""

    def next_flow(self) -> Flow:
        """The flow that goes next; called only while some flow is not empty."""
        ...


class BandLimits(msgspec.Struct, frozen=True):
    """What may wait in a band; 0 means unlimited. Defaults of the reference."""

    max_bytes: int = DEFAULT_BAND_BYTES
    max_requests: int = DEFAULT_BAND_REQUESTS


class Band:
    """All flows of one priority."""

    def __init__(self, priority: int, limits: BandLimits, fairness: FairnessPolicy, ordering: OrderingPolicy) -> None:
        self.priority = priority
        self.limits = limits
        self.fairness = fairness
        self.ordering = ordering
        self.flows: dict[FlowKey, Flow] = {}
        self.requests = 0
        self.body_bytes = 0
        self.outcomes: Counter[FlowOutcome] = Counter()

    def add(self, entry: Entry, ttl_s: float | None) -> None:
        """Puts an entry in its flow's queue."""
        flow = entry.flow
        rank = self.ordering.rank(entry.item, entry.enqueued_at, ttl_s)
        flow.entries.put(entry, (rank, entry.serial))
        flow.body_bytes += entry.item.body_bytes
        self.requests += 1
        self.body_bytes += entry.item.body_bytes
        self.fairness.changed(flow)

    def remove(self, entry: Entry) -> None:
        """Takes an entry out, wherever it stands."""
        flow = entry.flow
        flow.entries.discard(entry)
        flow.body_bytes -= entry.item.body_bytes
        self.requests -= 1
        self.body_bytes -= entry.item.body_bytes
        self.fairness.changed(flow)

    def next_entry(self) -> Entry:
        """Who goes next; the band must not be empty."""
        return self.fairness.next_flow().head[0]
