from typing import Any

import msgspec
import pytest

from epp.core.scheduling.filters.prefix_cache_affinity import PrefixCacheAffinityFilter, PrefixCacheAffinityParameters
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from tests.support.small_pool import SmallPool


def left(pool: SmallPool, matched: dict[int, int], total: int = 10, **parameters: Any) -> list[int]:
    given = {"prefixMatchInfoProducerName": "index", **parameters}
    plugin = PrefixCacheAffinityFilter(msgspec.convert(given, PrefixCacheAffinityParameters))
    by_slot = {pool.slot(number): blocks for number, blocks in matched.items()}
    cycle = pool.cycle(index=PrefixMatch(list(range(total)), 16, by_slot))
    kept: list[int] = plugin.filter(cycle, pool.candidates).positions.tolist()
    return kept


@pytest.mark.parametrize(
    ("matched", "total", "parameters", "stay"),
    [
        ({}, 10, {}, [0, 1, 2]),
        ({0: 8, 1: 7}, 10, {}, [0]),
        ({0: 8, 1: 9}, 10, {}, [0, 1]),
        ({0: 7, 1: 7}, 10, {}, [0, 1, 2]),
        ({0: 7, 1: 1}, 10, {"affinityThreshold": 0.5}, [0]),
        ({0: 9, 1: 9, 2: 9}, 10, {}, [0, 1, 2]),
        ({}, 0, {"affinityThreshold": 0}, [0, 1, 2]),
        ({0: 10}, 10, {"explorationProbability": 1}, [0, 1, 2]),
    ],
)
def test_who_is_sticky(matched: dict[int, int], total: int, parameters: dict[str, Any], stay: list[int]) -> None:
    assert left(SmallPool(3), matched, total, **parameters) == stay


@pytest.mark.parametrize(
    ("tokens", "penalty_ms", "stay"),
    [
        ((1000, 0, 0), 1000, [0]),
        ((1001, 0, 0), 1000, [0, 1, 2]),
        ((1501, 600, 500), 1000, [0, 1, 2]),
        ((1500, 600, 500), 1000, [0]),
        ((99999, 0, 0), 0, [0]),
    ],
)
def test_waiting_may_cost_more_than_the_cache_saves(tokens: tuple[int, ...], penalty_ms: int, stay: list[int]) -> None:
    pool = SmallPool(3)
    for number, count in enumerate(tokens):
        pool.ledger.reserve(pool.slot(number), count)
    assert left(pool, {0: 10}, peakPrefillThroughput=1000, maxTTFTPenaltyMs=penalty_ms) == stay


def test_exploration_is_by_chance() -> None:
    pool = SmallPool(2)
    explored = sum(len(left(pool, {0: 10}, explorationProbability=0.25)) == 2 for _ in range(1000))
    assert 200 < explored < 300


def test_a_latency_predictor_is_a_mistake() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'latencyPredictor'"):
        msgspec.convert({"ttftSource": "latencyPredictor"}, PrefixCacheAffinityParameters)
