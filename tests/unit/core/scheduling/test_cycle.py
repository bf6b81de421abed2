import numpy as np
import pytest

from epp.core.scheduling.cycle import Candidates
from tests.support.small_pool import SmallPool


class TestCandidates:
    def test_everybody_in_the_order_of_the_pool(self) -> None:
        pool = SmallPool(3)
        assert pool.candidates.endpoints == pool.endpoints
        assert pool.candidates.slots.tolist() == [pool.slot(number) for number in range(3)]
        assert len(pool.candidates) == 3

    @pytest.mark.parametrize(
        ("indices", "kept"),
        [([2, 0], [2, 0]), (np.array([True, False, True]), [0, 2]), ([], []), (np.array([False, False, False]), [])],
    )
    def test_keep_by_index_in_that_order_or_by_mask(self, indices: list[int], kept: list[int]) -> None:
        pool = SmallPool(3)
        left = pool.candidates.keep(indices)
        assert left.endpoints == tuple(pool.endpoints[number] for number in kept)
        assert left.slots.tolist() == [pool.slot(number) for number in kept]

    def test_keep_of_a_choice_counts_within_the_choice(self) -> None:
        pool = SmallPool(4)
        choice = Candidates(pool.snapshot, np.array([3, 1]))
        assert choice.keep([1]).endpoints == (pool.endpoints[1],)
        assert choice.endpoint(0) == pool.endpoints[3]


class TestScraped:
    def test_values_of_the_candidates(self) -> None:
        pool = SmallPool(3)
        for number, waiting in enumerate((5, 1, 3)):
            pool.report(number, waiting=waiting)
        choice = pool.candidates.keep([2, 0])
        assert pool.cycle().scraped("waiting", choice).tolist() == [3.0, 5.0]

    def test_a_silent_endpoint_is_one_worse_than_the_worst_known(self) -> None:
        pool = SmallPool(3)
        pool.report(0, waiting=0)
        pool.now += 5.0
        pool.report(1, waiting=4)
        pool.report(2, waiting=1)
        assert pool.cycle().is_stale(pool.candidates).tolist() == [True, False, False]
        assert pool.cycle().scraped("waiting", pool.candidates).tolist() == [5.0, 4.0, 1.0]

    def test_a_silent_endpoint_that_was_worse_stays_worse(self) -> None:
        pool = SmallPool(2)
        pool.report(0, waiting=9)
        pool.now += 5.0
        pool.report(1, waiting=4)
        assert pool.cycle().scraped("waiting", pool.candidates).tolist() == [9.0, 4.0]

    def test_when_everybody_is_silent_the_last_values_stand(self) -> None:
        pool = SmallPool(2)
        pool.report(0, waiting=2)
        pool.report(1, waiting=7)
        pool.now += 60.0
        assert pool.cycle().scraped("waiting", pool.candidates).tolist() == [2.0, 7.0]

    def test_staleness_begins_after_the_limit(self) -> None:
        pool = SmallPool(2)
        pool.report(0, waiting=2)
        pool.report(1, waiting=2)
        pool.now += pool.snapshot.metrics_stale_after_s
        assert not pool.cycle().is_stale(pool.candidates).any()
        pool.now += 0.001
        assert pool.cycle().is_stale(pool.candidates).all()


def test_in_flight_counts_of_the_candidates() -> None:
    pool = SmallPool(3)
    pool.hold(1, requests=2)
    assert pool.cycle().in_flight(pool.candidates.keep([1, 2])).tolist() == [2, 0]
