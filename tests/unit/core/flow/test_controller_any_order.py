"""Any order of offers, grants, clients that go, time that passes, full queues and pools that empty.

The model is a list of who waits, written with full scans: nothing is lost, nothing goes twice or after it was
withdrawn, bands are strict, flows keep their order, sums are exact, and in the end everything is back at zero.
"""

import math

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from epp.core.config.flow_parameters import ProgramAwareParameters
from epp.core.domain.errors import DroppedReason, Refusal
from epp.core.flow.band import BandLimits
from epp.core.flow.events import Evicted, FlowEvent, FlowOutcome, Granted
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.fairness.program_aware import ProgramAwareFairness, ServiceBook
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.ordering.edf import EdfOrdering
from epp.core.flow.ordering.fcfs import FcfsOrdering
from epp.core.flow.ordering.slo_deadline import SloDeadlineOrdering
from epp.core.flow.settings import BandSettings, FlowSettings
from epp.core.flow.ticket import Ticket
from tests.support.flow_pool import EVERYBODY, FlowPool

TTL_S, NO_ENDPOINT_TTL_S, GRACE_S = 10.0, 30.0, 2.0
BAND_LIMITS = BandLimits(max_bytes=60, max_requests=8)
ALL_LIMITS = BandLimits(max_bytes=150, max_requests=20)
PRIORITIES = (2, 1, 0, -1)
PROGRAMS = ProgramAwareParameters()


def flow_settings() -> FlowSettings:
    book = ServiceBook(PROGRAMS)
    return FlowSettings(
        bands={
            2: BandSettings(BAND_LIMITS, RoundRobinFairness, SloDeadlineOrdering()),
            0: BandSettings(BAND_LIMITS, GlobalStrictFairness, FcfsOrdering()),
            -1: BandSettings(BAND_LIMITS, lambda: ProgramAwareFairness(book, PROGRAMS), FcfsOrdering()),
        },
        default_band=BandSettings(BAND_LIMITS, RoundRobinFairness, EdfOrdering()),
        limits=ALL_LIMITS,
        default_ttl_s=TTL_S,
        no_endpoint_ttl_s=NO_ENDPOINT_TTL_S,
        idle_flow_s=7.0,
        idle_band_s=11.0,
    )


class Waiter:
    """What the model knows of a request."""

    def __init__(self, serial: int, priority: int, tenant: str, body_bytes: int, *, now: float) -> None:
        self.name, self.serial, self.enqueued_at = f"r{serial}", serial, now
        self.priority, self.tenant, self.body_bytes = priority, tenant, body_bytes
        self.own_deadline = math.inf
        self.rank = now


class FlowMachine(RuleBasedStateMachine):
    @initialize(places=st.integers(1, 5), has_endpoints=st.booleans())
    def start(self, places: int, has_endpoints: bool) -> None:
        self.pool = FlowPool(places=places, settings=flow_settings())
        self.pool.has_endpoints = has_endpoints
        self.waiting: dict[str, Waiter] = {}
        self.changed_at = 0.0
        self.seen_endpoints: bool | None = None
        self.serial = 0
        self.gone: set[str] = set()
        self.draining = False

    @rule(
        priority=st.sampled_from(PRIORITIES),
        tenant=st.sampled_from("xyz"),
        body_bytes=st.integers(0, 25),
        ttl_ms=st.none() | st.integers(0, 15_000),
        slo_ms=st.none() | st.integers(0, 5_000),
    )
    def offer(self, priority: int, tenant: str, body_bytes: int, ttl_ms: int | None, slo_ms: int | None) -> None:
        pool = self.pool
        self.serial += 1
        waiter = Waiter(self.serial, priority, tenant, body_bytes, now=pool.now)
        if ttl_ms is not None:
            waiter.own_deadline = pool.now + ttl_ms / 1000
        self._look()
        waiter.rank = self._rank(waiter, slo_ms)
        same = [other for other in self.waiting.values() if other.priority == priority]
        ahead = [other for other in self.waiting.values() if other.priority >= priority]
        may_pass = pool.has_endpoints and len(pool.running) < pool.places and not ahead
        try:
            answer = pool.offer(waiter.name, priority, tenant, body_bytes=body_bytes, ttl_ms=ttl_ms, slo_ms=slo_ms)
        except Refusal as refusal:
            assert not may_pass
            self._check_refusal(refusal, waiter, same)
            return
        if may_pass:
            assert waiter.name in pool.running
            return
        assert isinstance(answer, Ticket)
        assert not self.draining
        assert len(same) < BAND_LIMITS.max_requests
        assert sum(other.body_bytes for other in same) + body_bytes <= BAND_LIMITS.max_bytes
        assert sum(other.body_bytes for other in self.waiting.values()) + body_bytes <= ALL_LIMITS.max_bytes
        assert len(self.waiting) < ALL_LIMITS.max_requests
        self.waiting[waiter.name] = waiter

    @rule(seconds=st.sampled_from([0.0, 0.001, 1.0, 3.0, 8.0]))
    def advance(self, seconds: float) -> None:
        self.pool.now += seconds
        self._advance()

    @precondition(lambda self: self.pool.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        del self.pool.running[data.draw(st.sampled_from(sorted(self.pool.running)))]
        if data.draw(st.booleans()):
            self._advance()

    @precondition(lambda self: self.pool.flow.next_deadline() is not None)
    @rule()
    def sleep_until_the_deadline(self) -> None:
        deadline = self.pool.flow.next_deadline()
        assert deadline is not None
        self.pool.now = max(self.pool.now, deadline)
        self._advance()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), tells=st.booleans())
    def client_goes(self, data: st.DataObject, tells: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.waiting)))
        self.gone.add(name)
        if tells:
            event = self.pool.flow.withdraw(self.pool.items[name], self.pool.now)
            assert event is not None
            del self.waiting[name]
        else:
            self.pool.tickets[name].withdraw()

    @rule(has_endpoints=st.booleans(), places=st.integers(1, 5))
    def pool_changes(self, has_endpoints: bool, places: int) -> None:
        self.pool.has_endpoints, self.pool.places = has_endpoints, places
        self._advance()

    @rule()
    def the_same_rules_are_put_in_force_again(self) -> None:
        self.pool.flow.reconfigure(flow_settings(), EVERYBODY, self.pool.now)
        self._advance()

    @precondition(lambda self: len(self.waiting) > 5)
    @rule()
    def drain(self) -> None:
        events = self.pool.note(self.pool.flow.drain(self.pool.now))
        assert {event.item.request.request_id for event in events} == set(self.waiting)
        self.waiting.clear()
        self.draining = True

    @invariant()
    def sums_are_exact(self) -> None:
        flow = self.pool.flow
        assert len(flow) == len(self.waiting)
        assert flow.body_bytes == sum(waiter.body_bytes for waiter in self.waiting.values())
        for band in flow.statistics():
            members = [waiter for waiter in self.waiting.values() if waiter.priority == band.priority]
            assert (band.requests, band.body_bytes) == (len(members), sum(waiter.body_bytes for waiter in members))
            for tenant in band.flows:
                mine = [waiter for waiter in members if waiter.tenant == tenant.key.fairness_id]
                assert (tenant.requests, tenant.body_bytes) == (len(mine), sum(waiter.body_bytes for waiter in mine))

    def teardown(self) -> None:
        pool = self.pool
        pool.has_endpoints = True
        pool.running.clear()
        for _ in range(len(self.waiting) + 1):
            self._advance()
            pool.running.clear()
        assert not self.waiting
        assert (len(pool.flow), pool.flow.body_bytes, pool.flow.blocked) == (0, 0, None)
        assert pool.flow.next_deadline() is None
        assert not pool.flow._waiting._own
        pool.advance(1000.0)
        assert [band.priority for band in pool.flow.statistics()] == [2, 0, -1]
        assert not any(band.flows for band in pool.flow.statistics())

    def _rank(self, waiter: Waiter, slo_ms: int | None) -> float:
        if waiter.priority == 2:
            return math.inf if slo_ms is None else waiter.enqueued_at + slo_ms / 1000
        if waiter.priority == 1:
            return min(waiter.enqueued_at + self._ttl_s(), waiter.own_deadline)
        return waiter.enqueued_at

    def _ttl_s(self) -> float:
        return TTL_S if self.pool.has_endpoints else NO_ENDPOINT_TTL_S

    def _look(self) -> None:
        if self.pool.has_endpoints is not self.seen_endpoints:
            self.seen_endpoints = self.pool.has_endpoints
            self.changed_at = self.pool.now

    def _deadline(self, waiter: Waiter) -> float:
        budget = max(waiter.enqueued_at, self.changed_at) + self._ttl_s()
        return min(budget, waiter.enqueued_at + (NO_ENDPOINT_TTL_S + GRACE_S), waiter.own_deadline)

    def _check_refusal(self, refusal: Refusal, waiter: Waiter, same: list[Waiter]) -> None:
        if refusal.reason is DroppedReason.SHUTTING_DOWN:
            assert self.draining
        elif refusal.message.startswith("request timed out"):
            assert waiter.own_deadline <= self.pool.now
        else:
            everybody = list(self.waiting.values())
            assert (
                len(same) >= BAND_LIMITS.max_requests
                or len(everybody) >= ALL_LIMITS.max_requests
                or sum(other.body_bytes for other in same) + waiter.body_bytes > BAND_LIMITS.max_bytes
                or sum(other.body_bytes for other in everybody) + waiter.body_bytes > ALL_LIMITS.max_bytes
            )
            empty = not self.pool.has_endpoints
            assert refusal.reason is (DroppedReason.NO_ENDPOINTS if empty else DroppedReason.SATURATED)

    def _advance(self) -> None:
        pool = self.pool
        self._look()
        for event in pool.note(pool.flow.advance(pool.now)):
            self._check_event(event, self.waiting[event.item.request.request_id])
            del self.waiting[event.item.request.request_id]
        assert all(self._deadline(waiter) > pool.now for waiter in self.waiting.values()), "everybody late is out"
        if pool.has_endpoints and len(pool.running) < pool.places:
            assert not self.waiting, "as many go as fit"
        else:
            deadline = pool.flow.next_deadline()
            assert deadline == min((self._deadline(waiter) for waiter in self.waiting.values()), default=None)

    def _check_event(self, event: FlowEvent, waiter: Waiter) -> None:
        assert event.waited_s == self.pool.now - waiter.enqueued_at
        if isinstance(event, Evicted) and event.outcome is not FlowOutcome.EVICTED_CONTEXT_CANCELLED:
            assert self._deadline(waiter) <= self.pool.now
            empty = not self.pool.has_endpoints
            assert event.outcome is (FlowOutcome.EVICTED_NO_ENDPOINTS if empty else FlowOutcome.EVICTED_TTL)
            return
        assert isinstance(event, Granted) != (waiter.name in self.gone)
        assert self.pool.has_endpoints
        for other in self.waiting.values():
            assert other.priority <= waiter.priority, "bands are strict"
            if (other.priority, other.tenant) == (waiter.priority, waiter.tenant):
                assert (other.rank, other.serial) >= (waiter.rank, waiter.serial), "flows keep their order"


TestAnyOrder = FlowMachine.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=80, stateful_step_count=60, deadline=None)
