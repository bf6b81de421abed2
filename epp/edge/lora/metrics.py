"""The syncer's metrics: the gauge of the reference, and what tells that the syncer itself does its work."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector

from epp.edge.lora.configuration import LoraConfig
from epp.edge.lora.plan import Action
from epp.edge.lora.reconcile import Reconciled, StepTaken

OPERATIONS = {Action.LOAD: "load", Action.REPLACE: "replace", Action.UNLOAD: "unload"}
"""label of the steps that change something"""
RESULTS = ("complete", "incomplete", "unreachable", "superseded")


class SyncMetrics:
    """All of them; each in a registry of its own, so that several syncers fit into a process."""

    def __init__(self, config_problem: Callable[[], str]) -> None:
        """`config_problem` says why the configuration file as it is now is not in force; an empty text if it is."""
        registry = CollectorRegistry()
        self.registry = registry
        self._shown: set[str] = set()
        ProcessCollector(registry=registry)
        self._status = Gauge(
            "lora_syncer_adapter_status",
            "1 when the model server serves the adapter, 0 when it does not, as of the last reconcile.",
            ["adapter_name"],
            registry=registry,
        )
        self._reconciles = Counter(
            "epp_lora_sync_reconciles",
            "Reconciles by result: complete (everything is as wished), incomplete (some adapter is not), unreachable "
            "(the model server was not healthy or did not answer), superseded (the configuration changed on the way).",
            ["result"],
            registry=registry,
        )
        self._changes = Counter(
            "epp_lora_sync_changes", "Adapters loaded, replaced and unloaded.", ["operation"], registry=registry
        )
        self._errors = Counter(
            "epp_lora_sync_errors", "Changes that the model server did not make.", ["operation"], registry=registry
        )
        self._last_success = Gauge(
            "epp_lora_sync_last_success_timestamp_seconds",
            "When everything was as wished for the last time, in Unix seconds; 0 if never.",
            registry=registry,
        )
        self._server_up = Gauge(
            "epp_lora_sync_model_server_up",
            "1 when the model server answered in the last reconcile, else 0.",
            registry=registry,
        )
        config_valid = Gauge(
            "epp_lora_sync_configuration_valid",
            "1 when the configuration file as it is now is in force, else 0.",
            registry=registry,
        )
        config_valid.set_function(lambda: float(not config_problem()))
        for result in RESULTS:
            self._reconciles.labels(result)
        for operation in OPERATIONS.values():
            self._changes.labels(operation)
            self._errors.labels(operation)

    def took_step(self, taken: StepTaken) -> None:
        """A step was taken."""
        adapter_id = taken.step.adapter.id
        self._shown.add(adapter_id)
        self._status.labels(adapter_id).set(taken.is_served)
        operation = OPERATIONS.get(taken.step.action)
        if operation is not None:
            (self._errors if taken.problem else self._changes).labels(operation).inc()

    def reconciled(self, result: Reconciled, unix_s: float) -> None:
        """A reconcile ended at `unix_s`."""
        self._reconciles.labels(_name(result)).inc()
        self._server_up.set(not result.problem)
        if result.is_complete:
            self._last_success.set(unix_s)

    def configured(self, config: LoraConfig) -> None:
        """Another configuration is in force: adapters that it does not name are shown no longer."""
        named = {*(adapter.id for adapter in config.wanted), *config.unwanted}
        for gone in self._shown - named:
            self._status.remove(gone)
        self._shown &= named

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """Content and content type; `accept` is the header of that name."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


def _name(result: Reconciled) -> str:
    if result.problem:
        return "unreachable"
    if result.is_superseded:
        return "superseded"
    return "complete" if result.is_complete else "incomplete"
