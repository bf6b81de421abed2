"""program-aware-fairness: least service first, and nobody is forgotten for ever."""

from random import Random

import pytest

from epp.core.config.flow_parameters import ProgramAwareParameters
from epp.core.flow.fairness.program_aware import (
    MOST_PROGRAMS,
    ProgramAwareFairness,
    ServiceBook,
)
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.flow_pool import FlowPool


class Programs:
    def __init__(self, **parameters: float) -> None:
        self.parameters = ProgramAwareParameters(**parameters)  # type: ignore[arg-type]  # one literal among floats
        self.book = ServiceBook(self.parameters)
        band = BandSettings(new_fairness=lambda: ProgramAwareFairness(self.book, self.parameters))
        self.pool = FlowPool(settings=FlowSettings(default_band=band, default_ttl_s=0.0))
        self.pool.fill()


def test_service_counts_completions_twice_and_halves_with_time() -> None:
    book = ServiceBook(ProgramAwareParameters())
    book.record("a", 100, 50, now=1000.0)
    assert book.service("a", 1000.0) == pytest.approx(200.0)
    assert book.service("a", 1060.0) == pytest.approx(100.0)
    book.record("a", 0, 10, now=1060.0)
    assert book.service("a", 1060.0) == pytest.approx(120.0)
    assert book.service("nobody", 1060.0) == 0.0


def test_decay_goes_on_over_a_long_life() -> None:
    book = ServiceBook(ProgramAwareParameters(eviction_ttl_seconds=1e9))
    expected, now = 0.0, 5.0
    for _ in range(2_000):
        book.record("a", 10, 0, now)
        expected += 10.0
        assert book.service("a", now) == pytest.approx(expected)
        now += 30.0
        expected *= 0.5**0.5
    book.record("b", 1, 0, now + 1e8)
    assert book.service("a", now + 1e8) == pytest.approx(0.0)


def test_the_number_of_tenants_is_bounded() -> None:
    book = ServiceBook(ProgramAwareParameters(eviction_ttl_seconds=10.0))
    for number in range(MOST_PROGRAMS + 5):
        book.record(str(number), 1, 1, now=1.0)
    assert len(book) == MOST_PROGRAMS
    assert book.scaled("4") == 0.0
    book.record("late", 1, 1, now=11.5)
    assert len(book) == 1


def test_who_was_served_least_goes_first() -> None:
    programs = Programs()
    pool = programs.pool
    programs.book.record("a", 1000, 0, 0.0)
    programs.book.record("b", 100, 0, 0.0)
    pool.queue("a1", tenant="a")
    pool.queue("b1 b2", tenant="b")
    pool.queue("c1", tenant="c")
    pool.finish()
    assert pool.granted == "c1"
    programs.book.record("b", 0, 5000, 0.0)  # while its requests wait
    pool.finish_all()
    assert pool.granted == "c1 a1 b1 b2"


def test_waiting_counts_a_fifth() -> None:
    programs = Programs(las_weight_service=0.2, las_weight_head_wait=0.8)
    pool = programs.pool
    programs.book.record("a", 1000, 0, 0.0)
    pool.queue("a1", tenant="a")
    pool.now = 5.0
    pool.queue("b1", tenant="b")
    pool.finish_all()
    assert pool.granted == "a1 b1", "with these weights its wait outweighs its service"


def test_equal_tenants_in_order_of_arrival() -> None:
    programs = Programs()
    programs.pool.queue("a1", tenant="a")
    programs.pool.queue("b1", tenant="b")
    programs.pool.queue("c1", tenant="c")
    programs.pool.finish_all()
    assert programs.pool.granted == "a1 b1 c1"


def test_many_tenants_against_the_formula() -> None:
    """The arrays under joins, leaves and new service, compared with the formula over all flows."""
    rng, programs = Random(3), Programs()
    pool = programs.pool
    waiting: dict[str, list[tuple[float, str]]] = {}
    for number in range(400):
        pool.now += 1.0
        tenant = f"t{rng.randrange(40)}"
        pool.offer(f"r{number}", tenant=tenant)
        waiting.setdefault(tenant, []).append((pool.now, f"r{number}"))
        if rng.random() < 0.5:
            programs.book.record(f"t{rng.randrange(40)}", rng.randrange(1000), rng.randrange(1000), pool.now)
        if rng.random() < 0.6:
            best = _by_the_formula(waiting, programs.book, pool.now)
            name = waiting[best].pop(0)[1]
            if not waiting[best]:
                del waiting[best]
            pool.finish()
            assert pool.log[-1] == f"+{name}"


def _by_the_formula(waiting: dict[str, list[tuple[float, str]]], book: ServiceBook, now: float) -> str:
    service = {tenant: book.service(tenant, now) for tenant in waiting}
    wait = {tenant: now - queue[0][0] for tenant, queue in waiting.items()}

    def norm(values: dict[str, float], tenant: str) -> float:
        low, high = min(values.values()), max(values.values())
        return 0.0 if low == high else (values[tenant] - low) / (high - low)

    return max(waiting, key=lambda tenant: 0.8 * (1.0 - norm(service, tenant)) + 0.2 * norm(wait, tenant))
