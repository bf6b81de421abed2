"""What happened to the requests that waited."""

from enum import Enum

import msgspec

from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason, Refusal
from epp.core.flow.item import FlowItem
from epp.core.flow.ticket import QueueTicket


class FlowOutcome(Enum):
    """Label `outcome` of the flow-control metrics; the words of the reference."""

    DISPATCHED = "Dispatched"
    REJECTED_CAPACITY = "RejectedCapacity"
    """no room to wait, although the pool has endpoints"""
    REJECTED_NO_ENDPOINTS = "RejectedNoEndpoints"
    """no room to wait, and no endpoint either"""
    REJECTED_OTHER = "RejectedOther"
    """refused before it waited, by scheduling or at shutdown"""
    EVICTED_TTL = "EvictedTTL"
    EVICTED_NO_ENDPOINTS = "EvictedNoEndpoints"
    """waited too long for a pool without endpoints"""
    EVICTED_CONTEXT_CANCELLED = "EvictedContextCancelled"
    """the client went away"""
    EVICTED_OTHER = "EvictedOther"
    """waited, and was refused by scheduling or at shutdown"""


class Granted(msgspec.Struct, frozen=True):
    """The place is reserved: whoever cannot deliver `decision` any more must release its reservation."""

    item: FlowItem
    ticket: QueueTicket
    waited_s: float
    decision: Decision
    outcome: FlowOutcome = FlowOutcome.DISPATCHED

    @property
    def answer(self) -> Decision:
        """For the ticket."""
        return self.decision


class Evicted(msgspec.Struct, frozen=True):
    """Waited in vain. `refusal.__cause__` is the fault when scheduling raised something that is no Refusal."""

    item: FlowItem
    ticket: QueueTicket
    waited_s: float
    outcome: FlowOutcome
    refusal: Refusal

    @property
    def answer(self) -> Refusal:
        """For the ticket; a withdrawn one takes no answer."""
        return self.refusal


FlowEvent = Granted | Evicted


def outcome_of(refusal: Refusal, *, waited: bool) -> FlowOutcome:
    """The outcome of a request that was refused, at once or after it had waited."""
    match refusal.reason:
        case DroppedReason.NO_ENDPOINTS:
            return FlowOutcome.EVICTED_NO_ENDPOINTS if waited else FlowOutcome.REJECTED_NO_ENDPOINTS
        case DroppedReason.TTL_EXPIRED:
            return FlowOutcome.EVICTED_TTL
        case DroppedReason.CONTEXT_CANCELLED:
            return FlowOutcome.EVICTED_CONTEXT_CANCELLED
        case DroppedReason.SATURATED if not waited:
            return FlowOutcome.REJECTED_CAPACITY
        case _:
            return FlowOutcome.EVICTED_OTHER if waited else FlowOutcome.REJECTED_OTHER
