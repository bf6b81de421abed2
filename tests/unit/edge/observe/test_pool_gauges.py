import pytest

from tests.support.routed_requests import endpoint
from tests.support.watched_pool import WatchedPool

POOL = {"name": "vllm-pool"}


def three_endpoints() -> WatchedPool:
    """The third one was scraped too long ago."""
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1), endpoint(2))
    pool.scraped(endpoint(2), waiting=50, running=50, kv_usage=1.0)
    pool.clock.now += 3.0
    pool.scraped(endpoint(0), waiting=0, running=2, kv_usage=0.123)
    pool.scraped(endpoint(1), waiting=1, running=3, kv_usage=0.4)
    return pool


def test_averages_are_over_fresh_endpoints_and_not_rounded() -> None:
    page = three_endpoints().page()

    assert page.value("inference_pool_average_kv_cache_utilization", POOL) == pytest.approx(0.2615, abs=1e-12)
    assert page.value("inference_pool_average_queue_size", POOL) == 0.5
    assert page.value("inference_pool_average_running_requests", POOL) == 2.5
    assert page.value("inference_pool_ready_pods", POOL) == 3
    assert page.value("epp_stale_endpoints") == 1


def test_queue_sizes_are_those_of_fresh_endpoints() -> None:
    page = three_endpoints().page()

    name = "inference_pool_per_pod_queue_size"
    assert page.label_values(name, "model_server_pod") == {"vllm-0-rank-0", "vllm-1-rank-0"}
    assert page.value(name, {**POOL, "model_server_pod": "vllm-1-rank-0"}) == 1


def test_without_fresh_metrics_there_is_no_average() -> None:
    pool = three_endpoints()
    pool.clock.now += 60.0

    page = pool.page()

    assert "inference_pool_average_queue_size" not in page.samples
    assert page.value("inference_pool_ready_pods", POOL) == 3
    assert page.value("epp_stale_endpoints") == 3


def test_books_and_their_gap_to_the_reported_load() -> None:
    pool = three_endpoints()
    pool.busy(endpoint(0), 5)

    page = pool.page()

    assert page.value("epp_in_flight_requests", {"endpoint": "vllm-0-rank-0"}) == 5
    assert page.value("epp_in_flight_requests", {"endpoint": "vllm-2-rank-0"}) == 0
    assert page.value("epp_load_gap_requests", {"endpoint": "vllm-0-rank-0"}) == -3
    assert page.value("epp_load_gap_requests", {"endpoint": "vllm-1-rank-0"}) == 4
    assert "vllm-2-rank-0" not in page.label_values("epp_load_gap_requests", "endpoint")
    assert page.value("epp_reservations_open") == 5


def test_reservations_outlive_their_endpoint() -> None:
    pool = three_endpoints()
    pool.busy(endpoint(0), 2)
    pool.contains(endpoint(1))

    page = pool.page()

    assert page.value("epp_reservations_open") == 2
    assert page.label_values("epp_in_flight_requests", "endpoint") == {"vllm-1-rank-0"}


def test_cooling_endpoints_are_counted() -> None:
    pool = three_endpoints()
    pool.unreachable([endpoint(0), endpoint(1)])

    assert pool.page().value("epp_cooling_endpoints") == 2


def test_an_empty_pool_has_no_ready_pods() -> None:
    pool = WatchedPool()
    pool.contains()

    assert pool.page().value("inference_pool_ready_pods", POOL) == 0


def test_an_unknown_pool_has_no_name_to_report_under() -> None:
    page = WatchedPool().page()

    assert not [name for name in page.samples if name.startswith("inference_pool_")]
    assert page.value("epp_stale_endpoints") == 0
