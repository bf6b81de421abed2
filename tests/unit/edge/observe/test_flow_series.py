"""What the page says of flow control."""

from collections.abc import Iterable

import pytest

from epp.core.domain.request import InferenceRequest
from epp.core.flow.band import BandLimits
from epp.core.flow.events import FlowOutcome
from epp.core.flow.item import FlowKey
from epp.core.flow.statistics import BandStatistics, FlowReading, FlowStatistics
from epp.edge.observe.exposition import TEXT, Series, family_lines
from epp.edge.observe.families import Dialect, Family
from epp.edge.observe.flow_series import FlowSeries
from tests.support.metrics_page import ParsedPage

FLOW = {"fairness_id": "t", "priority": "5", "inference_pool": "pool", "model_name": "m", "target_model_name": "m"}


def request(tenant: str = "t", model: str = "m", priority: int = 5) -> InferenceRequest:
    return InferenceRequest("r", model=model, target_model=model, fairness_id=tenant, priority=priority)


def reading(*bands: BandStatistics, attained: dict[str, float] | None = None) -> FlowReading:
    return FlowReading(
        bands=bands,
        limits=BandLimits(max_bytes=0, max_requests=10),
        requests=4,
        body_bytes=40,
        saturation=1.25,
        evictable=1,
        unconfirmed_evictions=2,
        attained_service=attained or {},
    )


def page(series: FlowSeries, dialect: Dialect = Dialect.BOTH) -> ParsedPage:
    families: Iterable[tuple[Family, list[Series]]] = series.read("pool")
    lines = [
        line
        for family, numbers in families
        for exposed in family.exposed(dialect)
        for line in family_lines(family, exposed, numbers, TEXT)
    ]
    return ParsedPage("".join(lines).encode())


def test_without_flow_control_nothing_is_shown() -> None:
    assert FlowSeries().read("pool") == []


def test_waits_and_outcomes() -> None:
    series = FlowSeries()
    series.queues = reading
    series.left_queue(request(), FlowOutcome.DISPATCHED, 0.0)
    series.left_queue(request(), FlowOutcome.DISPATCHED, 3.0)
    series.left_queue(request(), FlowOutcome.EVICTED_TTL, 60.0)
    shown = page(series)

    name = "inference_extension_flow_control_request_queue_duration_seconds"
    assert shown.value(f"{name}_count", {**FLOW, "outcome": "Dispatched"}) == 2
    assert shown.value(f"{name}_sum", {**FLOW, "outcome": "Dispatched"}) == 3.0
    assert shown.value(f"{name}_bucket", {**FLOW, "outcome": "Dispatched", "le": "0.0001"}) == 1
    labels = {"outcome": "EvictedTTL", "priority": "5", "inference_pool": "pool"}
    assert shown.value("llm_d_epp_flow_control_requests_total", labels) == 1


def test_what_waits_now_and_how_full_queues_and_pool_are() -> None:
    flow = FlowStatistics(FlowKey("t", 5), 3, 30, {("m", "m"): (1, 10), ("m", "tuned"): (2, 20)})
    idle = FlowStatistics(FlowKey("idle", 5), 0, 0, {})
    series = FlowSeries()
    series.queues = lambda: reading(BandStatistics(5, BandLimits(100, 6), 3, 30, (flow, idle), {}))
    shown = page(series)

    assert shown.value("inference_extension_flow_control_queue_size", FLOW) == 1
    assert shown.value("llm_d_epp_flow_control_queue_bytes", {**FLOW, "target_model_name": "tuned"}) == 20
    band = {"priority": "5", "inference_pool": "pool"}
    assert shown.value("inference_extension_flow_control_capacity_utilization_requests", band) == 0.5
    assert shown.value("inference_extension_flow_control_capacity_utilization_bytes", band) == 0.3
    pool = {"inference_pool": "pool"}
    assert shown.value("inference_extension_flow_control_global_capacity_utilization_requests", pool) == 0.4
    assert "inference_extension_flow_control_global_capacity_utilization_bytes" not in shown.samples, "no such limit"
    assert shown.value("inference_extension_flow_control_pool_saturation", pool) == 1.25
    assert shown.value("llm_d_epp_flow_control_pool_saturation", {**pool, "stage": "effective"}) == 1.25
    assert shown.value("epp_unconfirmed_evictions_total") == 2


def test_evictions_turns_and_fairness() -> None:
    series = FlowSeries()
    series.queues = lambda: reading(attained={"a": 300.0, "b": 100.0})
    series.broken_off(request())
    series.cycle_done(0.003)
    shown = page(series)

    assert shown.value("llm_d_epp_flow_control_revocations_issued_total", {"inference_pool": "pool"}) == 1
    assert shown.value("llm_d_epp_flow_control_dispatch_cycle_duration_seconds_count") == 1
    assert shown.value("llm_d_epp_program_aware_attained_service_tokens", {"program_id": "a"}) == 300
    assert shown.value("llm_d_epp_program_aware_jains_fairness_index") == pytest.approx(400**2 / (2 * 100_000))


def test_tenants_and_models_cannot_fill_the_memory() -> None:
    series = FlowSeries(most_series=10)
    series.queues = reading
    for number in range(3_000):
        series.left_queue(request(f"tenant-{number}", f"model-{number}"), FlowOutcome.DISPATCHED, 0.0)
    name = "inference_extension_flow_control_request_queue_duration_seconds_count"
    counts = page(series).samples[name]

    assert len(counts) == 11
    assert sum(counts.values()) == 3_000
