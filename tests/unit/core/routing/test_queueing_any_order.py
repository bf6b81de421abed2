"""Any order of requests, ends, clients that go, pools that change, time that passes and evictions.

After every turn of the event loop: the ledger holds exactly what was dispatched and has not ended, nobody waits who
could go, nobody goes beyond what fits, and every request has exactly one fate. At the end everything is back at zero.
"""

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from epp.core.flow.band import BandLimits
from epp.core.flow.build import FlowPolicy
from epp.core.flow.eviction import EvictionSettings
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.queueing_pool import EVERYBODY, QueueingPool

MOST_WAITING = 6
BAND = BandSettings(limits=BandLimits(max_requests=MOST_WAITING), new_fairness=RoundRobinFairness)


class QueueAndLedger(RuleBasedStateMachine):
    @initialize(endpoints=st.integers(0, 3), each=st.integers(1, 3), evicts=st.booleans())
    def start(self, endpoints: int, each: int, evicts: bool) -> None:
        settings = FlowSettings(default_band=BAND, default_negative_band=BAND, default_ttl_s=20.0)
        eviction = EvictionSettings(settle_s=0.01) if evicts else None
        self.pool = QueueingPool(endpoints, each, FlowPolicy(settings, EVERYBODY, (), eviction))
        self.each, self.endpoints = each, endpoints
        self.asked: set[str] = set()
        self.ended: set[str] = set()
        self.left: set[str] = set()

    @rule(
        priority=st.sampled_from([-2, -1, 0, 5]),
        tenant=st.sampled_from("xy"),
        tokens=st.integers(0, 50),
        ttl_ms=st.none() | st.integers(0, 9_000),
    )
    def ask(self, priority: int, tenant: str, tokens: int, ttl_ms: int | None) -> None:
        name = f"r{len(self.asked)}"
        self.asked.add(name)
        headers = {} if ttl_ms is None else {"x-llm-d-request-ttl-ms": str(ttl_ms)}
        self.pool.ask(name, priority, tenant, tokens=tokens, headers=headers)

    @precondition(lambda self: self.pool.decisions)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.pool.running))
        decision = self.pool.decisions[name]
        self.ended.add(name)
        self.pool.end(name)
        assert not self.pool.router.release(decision), "a second release changes nothing"

    @precondition(lambda self: self.pool.decisions)
    @rule(data=st.data())
    def response_begins(self, data: st.DataObject) -> None:
        decision = self.pool.decisions[data.draw(st.sampled_from(self.pool.running))]
        served = data.draw(st.sampled_from(["", decision.endpoint.destination, "10.0.0.1:8000", "10.9.9.9:1"]))
        self.pool.router.response_begun(decision, served)

    @precondition(lambda self: self.pool.tickets)
    @rule(data=st.data())
    def client_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pool.tickets)))
        self.left.add(name)
        self.pool.leave(name)

    @rule(endpoints=st.integers(0, 3))
    def pool_changes(self, endpoints: int) -> None:
        self.endpoints = endpoints
        self.pool.members(endpoints)

    @rule(seconds=st.sampled_from([0.005, 1.0, 12.0]))
    def time_passes(self, seconds: float) -> None:
        self.pool.pass_time(seconds)

    @invariant()
    def every_request_has_one_fate(self) -> None:
        pool = self.pool
        fates = [*pool.decisions, *pool.refusals, *pool.tickets, *self.ended, *self.left]
        assert sorted(fates) == sorted(self.asked)

    @invariant()
    def books_are_exact(self) -> None:
        pool = self.pool
        assert pool.ledger.open_count == len(pool.decisions) == int(pool.ledger.requests.sum())
        assert int(pool.ledger.tokens.sum()) == sum(one.reservation.tokens for one in pool.decisions.values())
        reading = pool.router.read()
        assert reading.requests == len(pool.tickets) == sum(band.requests for band in reading.bands)
        assert all(band.requests <= MOST_WAITING for band in reading.bands)

    @invariant()
    def nobody_waits_who_could_go(self) -> None:
        if self.pool.tickets and self.endpoints:
            assert self.pool.router.saturation() >= 1.0

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.router.drain()
        for name in self.pool.running:
            self.pool.end(name)
        assert not self.pool.tickets
        assert self.pool.ledger.open_count == 0
        assert not self.pool.ledger.requests.any()


TestQueueAndLedger = QueueAndLedger.TestCase
TestQueueAndLedger.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
