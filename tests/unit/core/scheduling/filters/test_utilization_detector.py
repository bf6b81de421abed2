import pytest

from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.scheduling.filters.utilization_detector import UtilizationDetectorFilter
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("parameters", "left"),
    [
        (UtilizationDetectorParameters(), [0, 1]),
        (UtilizationDetectorParameters(queue_depth_threshold=4), [0]),
        (UtilizationDetectorParameters(kv_cache_util_threshold=0.7), [0]),
        (UtilizationDetectorParameters(headroom=0.5), [0, 1, 2, 3]),
        (UtilizationDetectorParameters(queue_depth_threshold=1, kv_cache_util_threshold=0.01), [0, 1, 2, 3]),
    ],
)
def test_full_endpoints_go_unless_all_are_full(parameters: UtilizationDetectorParameters, left: list[int]) -> None:
    pool = SmallPool(4)
    for number, (waiting, kv_usage) in enumerate([(1, 0.1), (4, 0.79), (5, 0.1), (0, 0.8)]):
        pool.report(number, waiting=waiting, kv_usage=kv_usage)
    kept = UtilizationDetectorFilter(parameters).filter(pool.cycle(), pool.candidates)
    assert kept.positions.tolist() == left


def test_an_endpoint_that_was_never_heard_of_counts_as_full() -> None:
    pool = SmallPool(2)
    pool.report(1, waiting=0)
    plugin = UtilizationDetectorFilter(UtilizationDetectorParameters())
    assert plugin.filter(pool.cycle(), pool.candidates).positions.tolist() == [1]
    assert len(plugin.filter(pool.cycle(), pool.candidates.keep([0]))) == 1
