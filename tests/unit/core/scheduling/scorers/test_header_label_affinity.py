import pytest

from epp.core.domain.ports import ObjectState
from epp.core.scheduling.scorers.header_label_affinity import HeaderLabelAffinityParameters, HeaderLabelAffinityScorer
from tests.support.routed_requests import endpoint
from tests.support.small_pool import POOL, SmallPool


def scorer() -> HeaderLabelAffinityScorer:
    return HeaderLabelAffinityScorer(HeaderLabelAffinityParameters(header_name="X-Zone", label_key="zone"))


@pytest.mark.parametrize(
    ("headers", "scores"),
    [
        ({"x-zone": "a"}, [1.0, 0.0, 1.0, 0.0]),
        ({"x-zone": "b"}, [0.0, 1.0, 0.0, 0.0]),
        ({"x-zone": "c"}, [0.0] * 4),
        ({"x-zone": ""}, [0.0] * 4),
        ({}, [0.0] * 4),
    ],
)
def test_formula(headers: dict[str, str], scores: list[float]) -> None:
    pool = SmallPool(4, labels=[{"zone": "a"}, {"zone": "b"}, {"zone": "a", "rack": "b"}, {"rack": "a"}])
    assert scorer().score(pool.cycle(headers=headers), pool.candidates).tolist() == scores


def test_only_candidates_in_their_order() -> None:
    pool = SmallPool(3, labels=[{"zone": "a"}, {"zone": "b"}, {"zone": "a"}])
    cycle = pool.cycle(headers={"x-zone": "b"})
    assert scorer().score(cycle, pool.candidates.keep([2, 1])).tolist() == [0.0, 1.0]


def test_labels_that_change_count_with_the_next_snapshot() -> None:
    pool, affinity = SmallPool(1, labels=[{"zone": "a"}]), scorer()
    assert affinity.score(pool.cycle(headers={"x-zone": "b"}), pool.candidates).tolist() == [0.0]
    pool.roster.objects_changed(ObjectState(POOL, (endpoint(labels={"zone": "b"}),)))
    assert affinity.score(pool.cycle(headers={"x-zone": "b"}), pool.candidates).tolist() == [1.0]
