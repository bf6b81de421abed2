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


class TestCorrected:
    def test_what_was_sent_since_the_scrape_waits(self) -> None:
        pool = SmallPool(2)
        pool.hold(0, 2)
        pool.report(0, waiting=1, running=2)
        pool.report(1, waiting=4, running=0)
        pool.hold(0, 3)
        assert pool.cycle().scraped("waiting", pool.candidates).tolist() == [1.0, 4.0]
        assert pool.cycle().corrected("waiting", pool.candidates).tolist() == [4.0, 4.0]

    def test_what_the_engine_has_not_seen_yet_waits_too(self) -> None:
        pool = SmallPool(1)
        pool.hold(0, 5)
        pool.report(0, waiting=0, running=2)
        assert pool.cycle().corrected("waiting", pool.candidates).tolist() == [3.0]
        assert pool.cycle().corrected("running", pool.candidates).tolist() == [5.0]

    def test_requests_of_others_are_believed(self) -> None:
        pool = SmallPool(1)
        pool.report(0, waiting=7, running=20)
        assert pool.cycle().corrected("waiting", pool.candidates).tolist() == [7.0]
        assert pool.cycle().corrected("running", pool.candidates).tolist() == [20.0]

    def test_prompts_sent_since_the_scrape_fill_the_cache(self) -> None:
        pool = SmallPool(3)
        for number in range(2):
            pool.report(number, kv_usage=0.5, kv_blocks=100, kv_block_tokens=10)
        pool.report(2, kv_usage=0.5)
        for number in range(3):
            pool.ledger.reserve(pool.slot(number), tokens=200)
        pool.ledger.reserve(pool.slot(1), tokens=5000)
        assert pool.cycle().corrected("kv_usage", pool.candidates).tolist() == [0.7, 1.0, 0.5]

    def test_the_next_scrape_starts_anew(self) -> None:
        pool = SmallPool(1)
        pool.hold(0, 3)
        pool.report(0, waiting=0, running=3, kv_usage=0.1, kv_blocks=10, kv_block_tokens=10)
        assert pool.cycle().corrected("waiting", pool.candidates).tolist() == [0.0]
        assert pool.cycle().corrected("kv_usage", pool.candidates).tolist() == [0.1]

    def test_a_silent_endpoint_stays_worse_than_the_worst_known(self) -> None:
        pool = SmallPool(2)
        pool.report(0, kv_usage=0.0, kv_blocks=10, kv_block_tokens=10)
        pool.now += 5.0
        pool.report(1, kv_usage=0.3, kv_blocks=10, kv_block_tokens=10)
        assert pool.cycle().corrected("kv_usage", pool.candidates).tolist() == [1.3, 0.3]
