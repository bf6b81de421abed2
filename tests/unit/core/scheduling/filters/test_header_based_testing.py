import pytest

from epp.core.scheduling.filters.header_based_testing import HEADER, HeaderBasedTestingFilter
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("10.0.0.3, 10.0.0.1", ["10.0.0.3:8000", "10.0.0.1:8000"]),
        ("10.0.0.2:8001", ["10.0.0.2:8001"]),
        ("10.0.0.2:8001,10.0.0.2:8000", ["10.0.0.2:8001"]),
        ("10.0.0.1,10.0.0.1", ["10.0.0.1:8000"]),
        ("10.0.0.9,10.0.0.2:8005,10.0.0.1", ["10.0.0.1:8000"]),
        ("10.0.0.9", []),
        (" , ", []),
        ("", []),
    ],
)
def test_the_header_names_who_is_left(header: str, left: list[str]) -> None:
    pool = SmallPool(3, ranks=2)
    kept = HeaderBasedTestingFilter().filter(pool.cycle(headers={HEADER: header}), pool.candidates)
    assert [endpoint.destination for endpoint in kept.endpoints] == left


def test_without_the_header_nobody_is_left() -> None:
    pool = SmallPool(2)
    assert not len(HeaderBasedTestingFilter().filter(pool.cycle(), pool.candidates))


def test_only_candidates_are_left() -> None:
    pool = SmallPool(3)
    cycle = pool.cycle(headers={HEADER: "10.0.0.1,10.0.0.2"})
    kept = HeaderBasedTestingFilter().filter(cycle, pool.candidates.keep([2, 1]))
    assert kept.endpoints == (pool.endpoints[1],)
