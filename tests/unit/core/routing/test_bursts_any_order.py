"""Any order of requests, ends, clients that go, pools that change and time that passes, with and without queues.

After every turn of the event loop: the ledger holds exactly what was dispatched and has not ended, every request has
exactly one fate, nobody waits in a window for longer than it lasts. At the end everything is back at zero.
"""

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.burst_pool import BurstPool

WINDOW_S = 0.1
MOST = 4


class WindowAndLedger(RuleBasedStateMachine):
    @initialize(
        endpoints=st.integers(0, 4),
        each=st.none() | st.integers(1, 3),
        least=st.integers(0, 2),
        most=st.sampled_from([-1, 1, 2]),
        balance=st.sampled_from(["requests", "tokens"]),
    )
    def start(self, endpoints: int, each: int | None, least: int, most: int, balance: str) -> None:
        self.pool = BurstPool(
            endpoints,
            each=each,
            window_duration_ms=round(WINDOW_S * 1000),
            max_batch_size=MOST,
            min_colocate_blocks=least,
            max_per_replica=most,
            balance_by=balance,
        )
        self.asked: dict[str, float] = {}
        self.ended: set[str] = set()
        self.left: set[str] = set()

    @rule(
        prompt=st.text("ab", max_size=3),
        ttl_ms=st.none() | st.integers(0, 300),
        subset=st.sampled_from([None, None, ("10.0.0.1",), ("10.0.0.2", "10.0.0.3")]),
        priority=st.sampled_from([-1, 0]),
    )
    def ask(self, prompt: str, ttl_ms: int | None, subset: tuple[str, ...] | None, priority: int) -> None:
        name = f"r{len(self.asked)}"
        self.asked[name] = self.pool.now
        headers = {} if ttl_ms is None else {"x-llm-d-request-ttl-ms": str(ttl_ms)}
        text = "".join(letter * 256 for letter in prompt)
        self.pool.ask(name, text, headers=headers, subset=subset, claimed_priority=priority, body_bytes=len(text))

    @precondition(lambda self: self.pool.decisions)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pool.decisions)))
        decision = self.pool.decisions[name]
        self.ended.add(name)
        self.pool.end(name)
        assert not self.pool.router.release(decision), "a second release changes nothing"

    @precondition(lambda self: self.pool.decisions)
    @rule(data=st.data())
    def response_begins(self, data: st.DataObject) -> None:
        decision = self.pool.decisions[data.draw(st.sampled_from(sorted(self.pool.decisions)))]
        served = data.draw(st.sampled_from(["", decision.endpoint.destination, "10.0.0.1:8000", "10.9.9.9:1"]))
        self.pool.router.response_begun(decision, served)

    @precondition(lambda self: self.pool.tickets)
    @rule(data=st.data())
    def client_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pool.tickets)))
        self.left.add(name)
        self.pool.leave(name)

    @rule(endpoints=st.integers(0, 4))
    def pool_changes(self, endpoints: int) -> None:
        self.pool.members(endpoints)

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.1, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.pool.pass_time(seconds)

    @rule(is_used=st.booleans())
    def policy_changes(self, *, is_used: bool) -> None:
        self.pool.router.take_over((self.pool.producer,) if is_used else ())
        self.pool.turn()

    @invariant()
    def every_request_has_one_fate(self) -> None:
        pool = self.pool
        fates = [*pool.decisions, *pool.refusals, *pool.tickets, *self.ended, *self.left]
        assert sorted(fates) == sorted(self.asked)
        assert not pool.faults

    @invariant()
    def books_are_exact(self) -> None:
        pool = self.pool
        assert pool.ledger.open_count == len(pool.decisions) == int(pool.ledger.requests.sum())
        queued = pool.queues.read().requests if pool.queues is not None else 0
        assert len(pool.router) + queued == len(pool.tickets)
        assert len(pool.router) < MOST, "a full window is closed"

    @invariant()
    def nobody_waits_for_longer_than_the_window_lasts(self) -> None:
        if self.pool.queues is None:
            assert all(self.pool.now - self.asked[name] < WINDOW_S for name in self.pool.tickets)

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        self.pool.router.drain()
        if self.pool.queues is not None:
            self.pool.queues.drain()
        for name in list(self.pool.decisions):
            self.pool.end(name)
        assert not self.pool.tickets
        assert len(self.pool.router) == 0
        assert self.pool.ledger.open_count == 0
        assert not self.pool.ledger.requests.any()
        assert self.pool.router.work() is None


TestWindowAndLedger = WindowAndLedger.TestCase
TestWindowAndLedger.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
