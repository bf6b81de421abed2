import pytest

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.scheduling.filters.concurrency_detector import ConcurrencyDetectorFilter
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("parameters", "left"),
    [
        (ConcurrencyDetectorParameters(), [0, 1, 2]),
        (ConcurrencyDetectorParameters(max_concurrency=3), [0, 1]),
        (ConcurrencyDetectorParameters(max_concurrency=3, headroom=0.5), [0, 1, 2]),
        (ConcurrencyDetectorParameters(max_concurrency=2, headroom=0.1), [0, 1]),
        (ConcurrencyDetectorParameters(max_concurrency=1, concurrency_mode="tokens"), [0, 1, 2]),
        (ConcurrencyDetectorParameters(max_token_concurrency=200), [0, 1, 2]),
        (ConcurrencyDetectorParameters(max_token_concurrency=200, concurrency_mode="tokens"), [0, 2]),
        (ConcurrencyDetectorParameters(3, 200, "hybrid"), [0]),
        (ConcurrencyDetectorParameters(max_concurrency=1), [0]),
    ],
)
def test_limits(parameters: ConcurrencyDetectorParameters, left: list[int]) -> None:
    pool = SmallPool(3)
    for number, prompts in enumerate([(), (100, 100), (1, 1, 1)]):
        for tokens in prompts:
            pool.ledger.reserve(pool.slot(number), tokens)
    kept = ConcurrencyDetectorFilter(parameters).filter(pool.cycle(), pool.candidates)
    assert kept.positions.tolist() == left


def test_nobody_may_be_left() -> None:
    pool = SmallPool(1)
    pool.hold(0)
    plugin = ConcurrencyDetectorFilter(ConcurrencyDetectorParameters(max_concurrency=1))
    assert not len(plugin.filter(pool.cycle(), pool.candidates))
