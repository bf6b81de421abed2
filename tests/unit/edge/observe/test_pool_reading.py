from tests.support.routed_requests import endpoint
from tests.support.watched_pool import WatchedPool


def test_rows_say_what_is_known_of_every_endpoint() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1))
    pool.scraped(endpoint(0), waiting=3, running=4, kv_usage=0.5)
    pool.busy(endpoint(0), 2)
    pool.clock.now += 0.5

    first, second = pool.reader.read().rows()

    assert (first.name, first.pod, first.destination) == ("vllm-0-rank-0", "vllm-0", "10.0.0.1:8000")
    assert (first.slot, first.generation) == (0, 1)
    assert (first.in_flight, first.in_flight_tokens) == (2, 20)
    assert (first.waiting, first.running, first.kv_usage, first.kv_block_tokens) == (3, 4, 0.5, 16)
    assert (first.metrics_age_s, first.stale, first.load_gap) == (0.5, False, 5)
    assert (second.metrics_age_s, second.stale, second.load_gap) == (None, True, None)


def test_metrics_grow_stale_at_the_snapshots_limit() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0))
    pool.scraped(endpoint(0))

    pool.clock.now += 2.0
    assert not pool.reader.read().rows()[0].stale
    pool.clock.now += 0.1
    assert pool.reader.read().rows()[0].stale


def test_cooling_endpoints_are_marked() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1))
    pool.unreachable([endpoint(1)])

    assert pool.reader.read().cooling.tolist() == [False, True]


def test_a_reading_does_not_change_afterwards() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0))
    pool.scraped(endpoint(0), waiting=1)
    reading = pool.reader.read()

    pool.scraped(endpoint(0), waiting=9)
    pool.busy(endpoint(0), 3)
    pool.contains()

    assert [(row.waiting, row.in_flight) for row in reading.rows()] == [(1, 0)]


def test_an_empty_pool_can_be_read() -> None:
    reading = WatchedPool().reader.read()

    assert (reading.pool_name, reading.rows(), reading.reservations_open) == ("", [], 0)
