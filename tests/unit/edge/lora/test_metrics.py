"""The page that Prometheus reads."""

import pytest

from epp.edge.lora.configuration import Adapter, load_configuration
from epp.edge.lora.metrics import SyncMetrics
from epp.edge.lora.plan import Action, Step
from epp.edge.lora.reconcile import Reconciled, StepTaken
from tests.support.metrics_page import ParsedPage

STATUS = "lora_syncer_adapter_status"


def step(action: Action, name: str = "test-adapter", *, is_served: bool, problem: str = "") -> StepTaken:
    return StepTaken(Step(action, Adapter(name, "repo/a")), is_served, problem)


def parsed(metrics: SyncMetrics) -> ParsedPage:
    return ParsedPage(metrics.page()[0])


def counted(metrics: SyncMetrics, name: str, label: str) -> dict[str, float]:
    """Counters above 0 by label value."""
    page = parsed(metrics)
    values = {value: page.value(name, {label: value}) or 0.0 for value in page.label_values(name, label)}
    return {value: count for value, count in values.items() if count}


@pytest.fixture
def metrics() -> SyncMetrics:
    return SyncMetrics(lambda: "")


def test_the_gauge_of_the_reference(metrics: SyncMetrics) -> None:
    metrics.took_step(step(Action.LOAD, is_served=True))
    assert 'lora_syncer_adapter_status{adapter_name="test-adapter"} 1.0\n' in metrics.page()[0].decode()
    metrics.took_step(step(Action.UNLOAD, is_served=False))
    assert 'lora_syncer_adapter_status{adapter_name="test-adapter"} 0.0\n' in metrics.page()[0].decode()


@pytest.mark.parametrize(
    ("taken", "value"),
    [
        (step(Action.KEEP, is_served=True), 1.0),
        (step(Action.ABSENT, is_served=False), 0.0),
        (step(Action.LOAD, is_served=False, problem="none there"), 0.0),
        (step(Action.UNLOAD, is_served=True, problem="out of order"), 1.0),
    ],
)
def test_it_tells_whether_the_adapter_is_served(metrics: SyncMetrics, taken: StepTaken, value: float) -> None:
    metrics.took_step(taken)
    assert parsed(metrics).value(STATUS, {"adapter_name": "test-adapter"}) == value


def test_adapters_that_no_configuration_names_are_not_shown(metrics: SyncMetrics) -> None:
    for name in ("food", "cad", "old"):
        metrics.took_step(step(Action.KEEP, name, is_served=True))
    text = "vLLMLoRAConfig: {ensureExist: {models: [{id: food, source: a}]}, ensureNotExist: {models: [{id: old}]}}"
    for _ in range(2):
        metrics.configured(load_configuration(text, "lora.yaml"))
        assert parsed(metrics).label_values(STATUS, "adapter_name") == {"food", "old"}


def test_changes_and_errors_are_counted(metrics: SyncMetrics) -> None:
    for action in (Action.LOAD, Action.LOAD, Action.REPLACE, Action.UNLOAD, Action.KEEP, Action.ABSENT):
        metrics.took_step(step(action, is_served=True))
    for action in (Action.LOAD, Action.UNLOAD, Action.REFUSE):
        metrics.took_step(step(action, is_served=False, problem="no"))
    assert counted(metrics, "epp_lora_sync_changes_total", "operation") == {"load": 2, "replace": 1, "unload": 1}
    assert counted(metrics, "epp_lora_sync_errors_total", "operation") == {"load": 1, "unload": 1}


def test_reconciles_are_counted_by_result(metrics: SyncMetrics) -> None:
    failed = step(Action.LOAD, is_served=False, problem="no")
    assert parsed(metrics).value("epp_lora_sync_last_success_timestamp_seconds") == 0
    metrics.reconciled(Reconciled(), 1000.5)
    metrics.reconciled(Reconciled((failed,)), 1001.0)
    metrics.reconciled(Reconciled(is_superseded=True), 1002.0)
    assert parsed(metrics).value("epp_lora_sync_model_server_up") == 1
    metrics.reconciled(Reconciled(problem="nobody there"), 1003.0)
    assert parsed(metrics).value("epp_lora_sync_model_server_up") == 0
    results = {"complete": 1, "incomplete": 1, "superseded": 1, "unreachable": 1}
    assert counted(metrics, "epp_lora_sync_reconciles_total", "result") == results
    assert parsed(metrics).value("epp_lora_sync_last_success_timestamp_seconds") == 1000.5


def test_whether_the_file_is_in_force() -> None:
    problems = ["it is gone"]
    metrics = SyncMetrics(lambda: problems[0])
    assert parsed(metrics).value("epp_lora_sync_configuration_valid") == 0
    problems[0] = ""
    assert parsed(metrics).value("epp_lora_sync_configuration_valid") == 1


def test_openmetrics_for_who_asks_for_it(metrics: SyncMetrics) -> None:
    content, content_type = metrics.page("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert content.endswith(b"# EOF\n")
    assert metrics.page()[1].startswith("text/plain")
