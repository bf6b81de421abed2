import pytest

from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from tests.support.small_pool import SmallPool


def scorer(weight: float = 0.0, scale: int = 8192) -> PrefixCacheScorer:
    return PrefixCacheScorer(
        PrefixCacheParameters(
            prefix_match_info_producer_name="index", match_length_weight=weight, match_length_scale_tokens=scale
        )
    )


@pytest.mark.parametrize(
    ("weight", "scale", "matched", "total", "scores"),
    [
        (0.0, 8192, {0: 3, 1: 1}, 4, [0.75, 0.25, 0.0]),
        (0.0, 8192, {}, 4, [0.0, 0.0, 0.0]),
        (1.0, 64, {0: 4, 1: 2}, 4, [1.0, 0.25, 0.0]),
        (1.0, 32, {0: 4, 1: 1}, 8, [1.0, 0.25, 0.0]),
        (0.5, 64, {0: 2}, 4, [0.5 * 0.25 + 0.5 * 0.5, 0.0, 0.0]),
    ],
)
def test_formula(weight: float, scale: int, matched: dict[int, int], total: int, scores: list[float]) -> None:
    pool = SmallPool(3)
    match = PrefixMatch(list(range(total)), 16, {pool.slot(number): blocks for number, blocks in matched.items()})
    cycle = pool.cycle(index=match)
    assert scorer(weight, scale).score(cycle, pool.candidates).tolist() == pytest.approx(scores)


def test_a_prompt_shorter_than_a_block_matches_nothing() -> None:
    pool = SmallPool(2)
    cycle = pool.cycle(index=PrefixMatch([], 16, {}))
    assert scorer(1.0).score(cycle, pool.candidates).tolist() == [0.0, 0.0]


def test_index_parameters_are_those_of_the_producer() -> None:
    parameters = PrefixCacheParameters(
        match_length_weight=0.5, hash_block_size=64, auto_tune=False, lru_capacity_per_server=7
    )
    assert parameters.index_parameters == ApproxPrefixCacheParameters(
        auto_tune=False, hash_block_size=64, lru_capacity_per_server=7
    )
    assert type(parameters.index_parameters) is ApproxPrefixCacheParameters
