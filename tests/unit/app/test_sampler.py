"""Which responses are looked into: one of so many, and not too many a second."""

from epp.app.options import parse_flags
from epp.app.routing import MOST_SAMPLES_PER_S, sampler
from tests.support.virtual_clock import VirtualClock


def wanted(every: str, *, requests: int, per_s: float, every_request: bool = False) -> int:
    """How many of so many requests, which come at this rate."""
    clock = VirtualClock()
    wants_sample = sampler(parse_flags({"sample-responses": every}, {}), every_request=every_request, clock=clock)
    count = 0
    for _ in range(requests):
        clock.now += 1.0 / per_s
        count += wants_sample()
    return count


def test_one_of_so_many_while_requests_are_few() -> None:
    assert wanted("16", requests=160, per_s=10.0) == 10


def test_a_few_a_second_when_they_are_many() -> None:
    assert wanted("16", requests=10_000, per_s=1_000.0) == 10 * MOST_SAMPLES_PER_S


def test_every_one_or_none_when_that_is_asked_for() -> None:
    assert wanted("1", requests=1_000, per_s=1_000.0) == 1_000
    assert wanted("16", requests=1_000, per_s=1_000.0, every_request=True) == 1_000
    assert wanted("0", requests=1_000, per_s=1_000.0) == 0
