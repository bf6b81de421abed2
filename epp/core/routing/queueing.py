"""The router behind flow control: a request goes, waits for its turn, or is refused.

Whoever runs the event loop sets `wake` and answers it with `work`, soon but not within the call: `wake` is called when
something may have changed for those who wait, `work` lets go who may go and says when it wants to be called again.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import Clock, RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.flow import refusals
from epp.core.flow.build import FlowPolicy
from epp.core.flow.controller import FlowController
from epp.core.flow.events import FlowOutcome, Granted, outcome_of
from epp.core.flow.eviction import InFlightEvictor
from epp.core.flow.item import FlowItem
from epp.core.flow.saturation import SaturationDetector
from epp.core.flow.served_tokens import ServedTokens
from epp.core.flow.stages import StageSaturation
from epp.core.flow.statistics import FlowReading
from epp.core.flow.ticket import BreakOff, QueueTicket
from epp.core.routing.router import Router
from epp.core.scheduling.cycle import Candidates
from epp.core.state.pool_state import PoolState

MOST_GRANTS = 32
"""per turn of the event loop; each costs a scheduling cycle"""


class FlowSink(Protocol):
    """Counts what flow control does."""

    def left_queue(self, request: InferenceRequest, outcome: FlowOutcome, waited_s: float) -> None:
        """A request was dispatched or given up, after `waited_s` or without waiting; once per request."""

    def broken_off(self, request: InferenceRequest) -> None:
        """A dispatched request was told to end."""


class QueueingRouter:
    """RoutingPort of a picker with flow control; see the module."""

    def __init__(
        self,
        router: Router,
        roster: PoolState,
        policy: FlowPolicy,
        clock: Clock,
        *,
        detector: SaturationDetector,
        sink: FlowSink,
    ) -> None:
        self._router = router
        self._roster = roster
        self._detector = detector
        self._clock = clock
        self._sink = sink
        self._controller = FlowController(
            policy.settings,
            policy.usage_limits,
            dispatch=lambda item: router.dispatch(item.request),
            saturation=self.saturation,
            has_endpoints=lambda: bool(roster.current.endpoints),
        )
        self._served = ServedTokens(policy.service_books)
        self._evictor: InFlightEvictor[int] | None = InFlightEvictor(policy.eviction) if policy.eviction else None
        self._running: dict[int, tuple[Decision, BreakOff]] = {}
        """by reservation serial: those that may be broken off"""
        self._objects_version = -1
        self.wake: Callable[[], None] = lambda: None

    def take_over(self, policy: FlowPolicy, detector: SaturationDetector) -> None:
        """Another configuration; everybody who waits goes on waiting, under its rules."""
        self._detector = detector
        self._controller.reconfigure(policy.settings, policy.usage_limits, self._clock())
        self._served = ServedTokens(policy.service_books)
        if policy.eviction is None:
            self._evictor = None
        elif self._evictor is None:
            self._evictor = InFlightEvictor(policy.eviction)
        else:
            self._evictor.reconfigure(policy.eviction)
        self.wake()

    def decide(self, request: InferenceRequest) -> Decision | QueueTicket:
        """The endpoint, or a place in the queue; raises a Refusal."""
        return self.offer(self.resolve(request), self._clock())

    def resolve(self, request: InferenceRequest) -> InferenceRequest:
        """See Router."""
        return self._router.resolve(request)

    @property
    def longest_wait_s(self) -> float:
        """After which a request that comes now has its answer for certain; infinite where nothing limits the wait."""
        return self._controller.longest_wait_s

    def offer(self, request: InferenceRequest, received_at: float) -> Decision | QueueTicket:
        """As `decide`, for a resolved request; `received_at` in monotonic seconds counts for its own waiting budget."""
        now = self._clock()
        self._follow_objects(now)
        item = FlowItem.of(request, received_at)
        try:
            answer = self._controller.offer(item, now)
        except Refusal as refusal:
            self._sink.left_queue(item.request, outcome_of(refusal, waited=False), 0.0)
            raise
        if isinstance(answer, QueueTicket):
            answer.on_withdraw = partial(self._withdraw, item)
            self.wake()
        else:
            self._sink.left_queue(item.request, FlowOutcome.DISPATCHED, 0.0)
        return answer

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        """The decision is on its way to the proxy; `break_off` ends the request for one that matters more."""
        if self._evictor is not None and decision.request.priority < 0:
            serial = decision.reservation.serial
            self._running[serial] = decision, break_off
            self._evictor.dispatched(serial, decision.request.priority)

    def response_begun(self, decision: Decision, destination: str) -> None:
        """See Router."""
        if self._evictor is not None:
            self._evictor.response_begun(decision.reservation.serial)
        self._router.response_begun(decision, destination)

    def first_token(self, decision: Decision) -> None:
        """See Router."""
        self._router.first_token(decision)

    def release(self, decision: Decision) -> bool:
        """See Router; somebody who waits may have the place."""
        is_first = self._router.release(decision)
        if is_first:
            if self._evictor is not None:
                self._running.pop(decision.reservation.serial, None)
                self._evictor.finished(decision.reservation.serial, self._clock())
            self.changed()
        return is_first

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """See Router."""
        self._served.record(decision, report, self._clock())
        self._router.finished(decision, report)

    def changed(self) -> None:
        """A scrape or a change of objects may let somebody go who waits."""
        if len(self._controller):
            self.wake()

    def work(self) -> float | None:
        """Lets go who may go, gives up who waited too long, breaks off whom others need gone.

        Returns when it has something to do even if nothing changes, in monotonic seconds; None: never.
        """
        now = self._clock()
        self._follow_objects(now)
        for event in self._controller.advance(now, MOST_GRANTS):
            self._sink.left_queue(event.item.request, event.outcome, event.waited_s)
            if not event.ticket.answer(event.answer) and isinstance(event, Granted):
                self._router.release(event.decision)
        deadlines = [self._controller.next_deadline(), self._break_off(now)]
        earliest = min(math.inf if deadline is None else deadline for deadline in deadlines)
        return None if math.isinf(earliest) else earliest

    def drain(self) -> None:
        """The picker ends: refuses everybody who waits, and from now on who would have to."""
        for event in self._controller.drain(self._clock()):
            self._sink.left_queue(event.item.request, event.outcome, event.waited_s)
            event.ticket.answer(event.answer)

    def saturation(self) -> float:
        """Of the whole pool, now."""
        return self._stages().effective

    def _stages(self) -> StageSaturation:
        return self._detector.of_stages(Candidates(self._roster.current), self._roster.ledger, self._clock())

    def read(self) -> FlowReading:
        """What waits and runs now, for metrics."""
        evictor = self._evictor
        return FlowReading(
            bands=tuple(self._controller.statistics()),
            limits=self._controller.limits,
            requests=len(self._controller),
            body_bytes=self._controller.body_bytes,
            saturation=self._stages(),
            evictable=0 if evictor is None else len(evictor),
            unconfirmed_evictions=0 if evictor is None else evictor.unconfirmed,
            attained_service=self._served.attained(self._clock()),
        )

    def _withdraw(self, item: FlowItem) -> None:
        event = self._controller.withdraw(item, self._clock())
        if event is not None:
            self._sink.left_queue(item.request, event.outcome, event.waited_s)
            self.wake()

    def _follow_objects(self, now: float) -> None:
        snapshot = self._roster.current
        if snapshot.version != self._objects_version:
            self._objects_version = snapshot.version
            self._controller.keep_bands((objective.priority for objective in snapshot.objectives.values()), now)

    def _break_off(self, now: float) -> float | None:
        """Makes room where a higher band is held back; when to look again."""
        evictor = self._evictor
        if evictor is None:
            return None
        in_flight = int(self._roster.ledger.requests[self._roster.current.slots].sum())
        for serial in evictor.choose(self._controller.blocked, in_flight, now):
            decision, break_off = self._running.pop(serial)
            self._sink.broken_off(decision.request)
            break_off(refusals.evicted())
        return evictor.next_deadline() if len(self._controller) else None
