import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.scorers.no_hit_lru import NoHitLruParameters, NoHitLruScorer
from tests.support.small_pool import SmallPool


def lru(size: int = 1024) -> NoHitLruScorer:
    return NoHitLruScorer("lru", NoHitLruParameters(lru_size=size, prefix_match_info_producer_name="index"))


def send(scorer: NoHitLruScorer, pool: SmallPool, number: int, *, hits: dict[int, int] | None = None) -> list[float]:
    """One request, judged and then sent to endpoint `number`."""
    by_slot = {pool.slot(who): blocks for who, blocks in (hits or {}).items()}
    cycle = pool.cycle(index=PrefixMatch([1, 2], 16, by_slot))
    scores: list[float] = scorer.score(cycle, pool.candidates).tolist()
    scorer.picked(cycle, pool.ledger.reserve(pool.slot(number), 1))
    return scores


@pytest.mark.parametrize(
    ("used", "scores"),
    [
        ((), [1.0, 2 / 3, 1 / 3, 0.0]),
        ((0,), [0.0, 1.0, 2 / 3, 1 / 3]),
        ((2, 0), [0.0, 1.0, 1 / 3, 2 / 3]),
        ((0, 1, 2, 3), [1.0, 2 / 3, 1 / 3, 0.0]),
        ((0, 1, 2, 3, 1), [1.0, 0.0, 2 / 3, 1 / 3]),
    ],
)
def test_never_used_first_then_least_recently_used(used: tuple[int, ...], scores: list[float]) -> None:
    pool, scorer = SmallPool(4), lru()
    for number in used:
        send(scorer, pool, number)
    assert send(scorer, pool, 0) == pytest.approx(scores)


def test_a_hit_anywhere_is_neutral_and_moves_nobody() -> None:
    pool, scorer = SmallPool(3), lru()
    assert send(scorer, pool, 0, hits={2: 1}) == [0.5, 0.5, 0.5]
    assert send(scorer, pool, 1) == [1.0, 0.5, 0.0]
    assert send(scorer, pool, 1) == [1.0, 0.0, 0.5]


def test_the_only_candidate_is_best() -> None:
    pool = SmallPool(1)
    assert send(lru(), pool, 0) == [1.0]


def test_a_hit_elsewhere_than_among_the_candidates_does_not_count() -> None:
    pool, scorer = SmallPool(3), lru()
    cycle = pool.cycle(index=PrefixMatch([1], 16, {pool.slot(2): 1}))
    assert scorer.score(cycle, pool.candidates.keep([1, 0])).tolist() == [1.0, 0.0]


def test_beyond_its_size_the_oldest_counts_as_never_used() -> None:
    pool, scorer = SmallPool(3), lru(size=2)
    for number in (0, 1, 2):
        send(scorer, pool, number)
    assert send(scorer, pool, 0) == [1.0, 0.5, 0.0]


def test_a_slot_with_a_new_owner_was_never_used() -> None:
    pool, scorer = SmallPool(2), lru()
    send(scorer, pool, 0)
    send(scorer, pool, 1)
    scorer.forget_slot(pool.slot(1))
    assert send(scorer, pool, 0) == [0.0, 1.0]
    scorer.forget_slot(99)


def test_a_burst_of_cold_requests_goes_round() -> None:
    pool, scorer = SmallPool(20), lru()
    went: list[Endpoint] = []
    for _ in range(40):
        cycle = pool.cycle(index=PrefixMatch([1], 16, {}))
        candidates: Candidates = pool.candidates
        best = int(scorer.score(cycle, candidates).argmax())
        scorer.picked(cycle, pool.ledger.reserve(int(candidates.slots[best]), 1))
        went.append(candidates.endpoint(best))
    assert went == [*pool.endpoints, *pool.endpoints]


def test_a_pick_that_it_did_not_judge_moves_nobody() -> None:
    pool, scorer = SmallPool(2), lru()
    scorer.picked(pool.cycle(), pool.ledger.reserve(pool.slot(0), 1))
    assert send(scorer, pool, 0) == [1.0, 0.0]
