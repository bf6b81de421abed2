import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from epp.core.domain.decision import Disaggregation
from epp.core.domain.ports import TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.edge.observe.catalogue import OutsideGauges
from epp.edge.observe.families import Dialect
from epp.edge.observe.label_values import printable
from tests.support.reference_metrics import GIE, LLM_D
from tests.support.routed_requests import decision, endpoint, report
from tests.support.watched_pool import WatchedPool

USAGE = TokenUsage(prompt_tokens=100, completion_tokens=10, cached_tokens=64)


def outside() -> OutsideGauges:
    return OutsideGauges(
        prefix_index_blocks=lambda: 4_200,
        streams_open=lambda: 7,
        buffered_bytes=lambda: 1_048_576,
        object_problems=lambda: 1,
    )


def used_pool(dialect: Dialect) -> WatchedPool:
    """One of everything has happened."""
    pool = WatchedPool(dialect, outside())
    pool.contains(endpoint(0))
    pool.scraped(endpoint(0), waiting=1)
    request = InferenceRequest(request_id="r", model="m", model_rewrite="canary", body_bytes=100)
    routed = decision(request, disaggregation=Disaggregation("prefill-decode"))
    pool.sink.request_routed(routed)
    pool.sink.request_finished(
        routed, report(status=500, response_bytes=100, first_token_s=0.1, usage=USAGE, served="10.9.9.9:1")
    )
    pool.sink.scrape_failed("refused")
    return pool


@pytest.mark.parametrize(
    ("dialect", "expected"), [(Dialect.GIE, GIE), (Dialect.LLM_D, LLM_D), (Dialect.BOTH, GIE | LLM_D)]
)
def test_sample_names_and_labels_come_out_as_in_the_reference(dialect: Dialect, expected: dict[str, str]) -> None:
    page = used_pool(dialect).page()

    seen: dict[str, str] = {}
    for name, by_labels in page.samples.items():
        is_histogram = page.types.get(re.sub("_(bucket|sum|count)$", "", name)) == "histogram"
        base = re.sub("_(bucket|sum|count)$", "", name) if is_histogram else name
        for labels in by_labels:
            names = {label for label, _ in labels} - ({"le"} if is_histogram else set())
            if not name.startswith(("epp_", "process_")):
                assert names == set(expected[base].split()), name
                seen[base] = expected[base]
    assert seen == expected


def test_there_are_no_created_samples_and_types_are_right() -> None:
    page = used_pool(Dialect.GIE).page()

    assert not [name for name in page.samples if name.endswith("_created")]
    assert page.types["inference_objective_request"] == "counter"
    assert page.types["inference_objective_request_duration_seconds"] == "histogram"
    assert page.types["inference_objective_running_requests"] == "gauge"
    assert page.types["inference_extension_info"] == "gauge"


def test_bounds_are_written_as_the_reference_writes_them() -> None:
    page = used_pool(Dialect.GIE).page()

    written = page.label_values("inference_objective_input_tokens_bucket", "le")
    assert written >= {"1", "8", "32778", "524288", "1.048576e+06", "+Inf"}
    assert page.label_values("inference_extension_scheduler_e2e_duration_seconds_bucket", "le") >= {"0.0001", "0.1"}
    sizes = page.label_values("inference_objective_request_sizes_bucket", "le")
    assert sizes >= {"64", "8.388608e+06", "1.073741824e+09"}


def test_buckets_are_cumulative_and_end_in_the_count() -> None:
    pool = WatchedPool()
    for serial, duration_s in enumerate((0.001, 0.3, 0.3, 7_200.0)):
        routed = decision(InferenceRequest(request_id="r", model="m"), serial=serial)
        pool.sink.request_routed(routed)
        pool.sink.request_finished(routed, report(duration_s=duration_s))

    page = pool.page()

    def at_most(bound: str) -> float | None:
        labels = {"model_name": "m", "target_model_name": "m", "le": bound}
        return page.value("inference_objective_request_duration_seconds_bucket", labels)

    assert [at_most(bound) for bound in ("0.005", "0.2", "0.4", "3600", "+Inf")] == [1, 1, 3, 3, 4]


def test_build_and_outside_gauges_are_shown() -> None:
    page = WatchedPool(outside=outside()).page()

    assert page.value("inference_extension_info", {"commit": "abc123", "build_ref": "v1.2.3"}) == 1
    assert page.value("epp_prefix_index_blocks") == 4_200
    assert page.value("epp_streams_open") == 7
    assert page.value("epp_buffered_bytes") == 1_048_576
    assert page.value("epp_object_problems") == 1


def test_gauges_that_nobody_holds_are_left_out() -> None:
    page = WatchedPool().page()

    assert "epp_streams_open" not in page.samples
    assert page.value("epp_reservations_open") == 0


def test_the_processs_own_numbers_are_there() -> None:
    resident_bytes = WatchedPool().page().value("process_resident_memory_bytes")

    assert resident_bytes is not None
    assert resident_bytes > 1_000_000


def test_openmetrics_on_request() -> None:
    content, content_type = used_pool(Dialect.BOTH).catalogue.prepare("application/openmetrics-text;version=1.0.0")()

    families = {family.name: family for family in parse_openmetrics(content.decode())}  # type: ignore[no-untyped-call]

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert content.endswith(b"# EOF\n")
    assert [sample.name for sample in families["inference_objective_request"].samples] == [
        "inference_objective_request_total"
    ]
    buckets = families["inference_objective_input_tokens"].samples
    assert buckets[0].labels["le"] == "1.0", "OpenMetrics wants floats"


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html,application/xml;q=0.9"])
def test_everybody_else_gets_the_text_format(accept: str) -> None:
    content, content_type = WatchedPool().catalogue.prepare(accept)()

    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE inference_extension_info gauge\n" in content


def test_attempts_at_a_vanished_endpoint_leave_the_page_after_a_while() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1))
    for serial, where in enumerate((endpoint(0), endpoint(1))):
        pool.sink.request_routed(decision(InferenceRequest(request_id="r", model="m"), where, serial=serial))
    name = "inference_extension_scheduler_attempts_total"

    pool.contains(endpoint(1))
    assert pool.page().label_values(name, "pod_name") == {"vllm-0", "vllm-1"}
    pool.clock.now += 301.0
    assert pool.page().label_values(name, "pod_name") == {"vllm-1"}


def test_the_registry_is_open_to_more_collectors() -> None:
    pool = WatchedPool()
    Gauge("extra", "Somebody else's.", registry=pool.catalogue.registry).set(3)

    assert pool.page().value("extra") == 3


def test_gauges_are_those_of_the_moment_the_page_was_asked_for() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0))
    render = pool.catalogue.prepare()
    pool.busy(endpoint(0), 5)

    assert b'epp_in_flight_requests{endpoint="vllm-0-rank-0"} 0\n' in render()[0]


@given(st.text(st.characters(), max_size=250))
@settings(max_examples=100, deadline=None)
def test_whatever_clients_call_a_model_the_page_can_be_read(name: str) -> None:
    pool = WatchedPool()
    pool.sink.request_routed(decision(InferenceRequest(request_id="r", model=name)))

    labels = {"model_name": printable(name), "target_model_name": printable(name), "priority": "0"}

    assert pool.page().value("inference_objective_request_total", labels) == 1


def test_pages_are_made_in_a_thread_while_requests_go_on() -> None:
    pool = WatchedPool()
    with ThreadPoolExecutor(1) as threads:
        pages = []
        for serial in range(3_000):
            routed = decision(
                InferenceRequest(request_id="r", model=f"m{serial}"), endpoint(serial % 50), serial=serial
            )
            pool.sink.request_routed(routed)
            if serial % 300 == 0:
                pages.append(threads.submit(pool.catalogue.prepare()))
        for page in pages:
            assert page.result()[0].endswith(b"\n")
