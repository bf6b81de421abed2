"""Values of the flags, checked: what the composition root is built from."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from epp.app.flag import FlagError
from epp.app.flag_values import Value, means_false, parse_value
from epp.app.flags import FLAGS
from epp.app.several_pickers import check_workers
from epp.core.protocol.events import BodyMode
from epp.core.routing.priority import BodyPriority
from epp.core.scheduling.selector_text import parse_selector
from epp.edge.admin.gates import is_loopback
from epp.edge.certificates.ciphers import openssl_names

BODY_MODES = {
    "full-duplex": BodyMode.FULL_DUPLEX_STREAMED,
    "buffered": BodyMode.BUFFERED,
    "streamed": BodyMode.STREAMED,
    "none": BodyMode.NONE,
}


class TransportKind(Enum):
    """Servers of the ext_proc port."""

    NATIVE = "native"
    GRPCIO = "grpcio"


class ClusterOptions(msgspec.Struct, frozen=True):
    """What means something only where there is an API server."""

    kubeconfig: str
    kube_context: str
    endpoint_selector: str
    endpoint_target_ports: tuple[int, ...]
    leader_election: bool
    pod_name: str
    """of the picker itself, where it runs in a pod"""
    given: tuple[str, ...]
    """names of the flags that were given"""


class ModelServerPages(msgspec.Struct, frozen=True):
    """Where the pods' metrics pages are, and what their metrics are called."""

    port: int
    path: str
    scheme: str
    verify_tls: bool
    waiting_metric: str
    running_metric: str
    kv_usage_metric: str
    lora_metric: str
    cache_info_metric: str


class ServeOptions(msgspec.Struct, frozen=True):
    """Everything that `epp serve` was told; times in seconds, sizes in bytes."""

    objects: Path | None
    cluster: ClusterOptions
    pool_name: str
    pool_namespace: str
    pool_group: str
    envoy_eds: Path | None
    honour_subset: bool
    config_file: Path | None
    config_text: str
    policy: str
    """name of a built-in policy; counts without config_file and config_text"""
    session_key_file: Path | None
    allow_experimental: bool
    max_body_bytes: int
    max_buffered_bytes: int
    assume_body_mode: BodyMode
    body_priority: BodyPriority
    body_priority_min: int
    body_priority_max: int
    sample_responses: int
    emit_endpoint_scores: bool
    bind_address: str
    """an IP address, without brackets"""
    grpc_port: int
    grpc_health_port: int
    health_on_grpc_port: bool
    secure_serving: bool
    cert_path: Path | None
    cert_reload: bool
    only_tls_1_3: bool
    tls_1_2_ciphers: tuple[str, ...]
    """in OpenSSL's names; empty: the strong ones"""
    scrape_interval_s: float
    metrics_stale_after_s: float
    scrape_cpu_budget: float
    pages: ModelServerPages
    metrics_port: int
    metrics_bind_address: str
    """empty: as it fits the source of the objects"""
    metrics_token_file: Path | None
    metrics_auth: bool
    metrics_cert_dir: Path | None
    metrics_client_ca: Path | None
    metric_names: str
    verbosity: int
    log_format: str
    drain_timeout_s: float
    workers: int
    """picker processes; 0: everything in one process"""
    worker_ports: bool
    transport: TransportKind
    ready_file: Path | None
    notices: tuple[str, ...] = ()
    """flags that were given and have no effect"""


def parse_flags(given: Mapping[str, str], environment: Mapping[str, str]) -> ServeOptions:
    """Checks flags as they were written (name without dashes to text); raises FlagError."""
    notices = []
    for_a_cluster = []
    values: dict[str, Value] = {}
    for flag in FLAGS:
        text = given.get(flag.name)
        default = environment.get(flag.variable) or flag.default
        values[flag.name] = parse_value(flag, default if text is None else text)
        if text is not None and flag.no_effect:
            notices.append(f"--{flag.name} has no effect: {flag.no_effect}")
        if flag.without_cluster and text is not None and not means_false(text):
            for_a_cluster.append(flag.name)
    if "policy" in given and (values["config-file"] or values["config-text"]):
        raise FlagError("policy", "names a built-in policy; leave it out, or leave out --config-file and --config-text")
    _check_together(values)
    options = _options(values, environment, tuple(notices), tuple(for_a_cluster))
    if options.objects is not None:
        check_without_cluster(options)
    return options


def check_without_cluster(options: ServeOptions) -> None:
    """Raises FlagError for what means nothing without an API server, and for pages that would be open to others."""
    for flag in FLAGS:
        if flag.name in options.cluster.given:
            raise FlagError(flag.name, flag.without_cluster)
    address = options.metrics_bind_address
    if address and options.metrics_token_file is None and not is_loopback(address):
        raise FlagError(
            "metrics-bind-address", f"{address} is reachable by others: give --metrics-token-file, or use 127.0.0.1"
        )


def _check_together(values: Mapping[str, Any]) -> None:
    if values["config-file"] and values["config-text"]:
        raise FlagError("config-text", "give either --config-file or --config-text")
    check_workers(int(values["workers"]), values)
    if values["metrics-client-ca-file"] and not values["metrics-cert-dir"]:
        raise FlagError("metrics-client-ca-file", "client certificates need TLS: give --metrics-cert-dir too")
    _check_selector(values)
    budget = str(values["scrape-cpu-budget"])
    try:
        share = float(budget)
    except ValueError as error:
        raise FlagError("scrape-cpu-budget", f"{budget!r} is not a number") from error
    if not 0.0 < share <= 1.0:
        raise FlagError("scrape-cpu-budget", f"{budget} is not a share of one core (over 0, at most 1)")
    if int(values["body-priority-min"]) > int(values["body-priority-max"]):
        raise FlagError("body-priority-min", "is above --body-priority-max")
    if int(values["sample-responses"]) < 0:
        raise FlagError("sample-responses", "must not be negative; 0 looks into no response")
    if not str(values["model-server-metrics-path"]).startswith("/"):
        raise FlagError("model-server-metrics-path", f"{values['model-server-metrics-path']!r} must begin with /")
    for name in ("max-body-bytes", "max-buffered-bytes"):
        if int(values[name]) <= 0:
            raise FlagError(name, "must be above 0")


def _check_selector(values: Mapping[str, Any]) -> None:
    selector, ports = str(values["endpoint-selector"]), values["endpoint-target-ports"]
    if not selector:
        if ports:
            raise FlagError("endpoint-target-ports", "belongs to --endpoint-selector, which is not given")
        return
    if values["pool-name"]:
        raise FlagError("endpoint-selector", "selects pods in place of an InferencePool: leave out --pool-name")
    if not ports:
        raise FlagError("endpoint-selector", "needs the ports on which the pods serve: --endpoint-target-ports 8000")
    try:
        parse_selector(selector)
    except ValueError as error:
        raise FlagError("endpoint-selector", str(error)) from error


def _ciphers(text: str) -> tuple[str, ...]:
    try:
        return openssl_names(tuple(filter(None, (name.strip() for name in text.split(",")))))
    except ValueError as error:
        raise FlagError("tls-cipher-suites", str(error)) from error


def _cluster_options(
    values: Mapping[str, Any], environment: Mapping[str, str], given: tuple[str, ...]
) -> ClusterOptions:
    return ClusterOptions(
        kubeconfig=values["kubeconfig"],
        kube_context=values["kube-context"],
        endpoint_selector=values["endpoint-selector"],
        endpoint_target_ports=values["endpoint-target-ports"],
        leader_election=values["ha-enable-leader-election"],
        pod_name=environment.get("POD_NAME", ""),
        given=given,
    )


def _pages(values: Mapping[str, Any]) -> ModelServerPages:
    return ModelServerPages(
        port=values["model-server-metrics-port"],
        path=values["model-server-metrics-path"],
        scheme=values["model-server-metrics-scheme"],
        verify_tls=not values["model-server-metrics-https-insecure-skip-verify"],
        waiting_metric=values["total-queued-requests-metric"],
        running_metric=values["total-running-requests-metric"],
        kv_usage_metric=values["kv-cache-usage-percentage-metric"],
        lora_metric=values["lora-info-metric"],
        cache_info_metric=values["cache-info-metric"],
    )


def _options(
    values: Mapping[str, Any], environment: Mapping[str, str], notices: tuple[str, ...], for_a_cluster: tuple[str, ...]
) -> ServeOptions:
    def text(name: str) -> str:
        return str(values[name])

    def path(name: str) -> Path | None:
        return Path(text(name)) if values[name] else None

    return ServeOptions(
        objects=path("objects"),
        cluster=_cluster_options(values, environment, for_a_cluster),
        pool_name=text("pool-name"),
        pool_namespace=text("pool-namespace"),
        pool_group=text("pool-group"),
        envoy_eds=path("envoy-eds"),
        honour_subset=not values["disable-endpoint-subset-filter"],
        config_file=path("config-file"),
        config_text=text("config-text"),
        policy=text("policy"),
        session_key_file=path("session-key-file"),
        allow_experimental=bool(values["allow-experimental-plugins"]),
        max_body_bytes=int(values["max-body-bytes"]),
        max_buffered_bytes=int(values["max-buffered-bytes"]),
        assume_body_mode=BODY_MODES[text("assume-body-mode")],
        body_priority=BodyPriority(values["body-priority"]),
        body_priority_min=int(values["body-priority-min"]),
        body_priority_max=int(values["body-priority-max"]),
        sample_responses=int(values["sample-responses"]),
        emit_endpoint_scores=bool(values["emit-endpoint-scores"]),
        bind_address=text("bind-address"),
        grpc_port=int(values["grpc-port"]),
        grpc_health_port=int(values["grpc-health-port"]),
        health_on_grpc_port=bool(values["health-checking"]),
        secure_serving=bool(values["secure-serving"]),
        cert_path=path("cert-path"),
        cert_reload=bool(values["enable-cert-reload"]),
        only_tls_1_3=values["tls-min-version"] == "VersionTLS13",
        tls_1_2_ciphers=_ciphers(text("tls-cipher-suites")),
        scrape_interval_s=float(values["refresh-metrics-interval"]),
        metrics_stale_after_s=float(values["metrics-staleness-threshold"]),
        scrape_cpu_budget=float(values["scrape-cpu-budget"]),
        pages=_pages(values),
        metrics_port=int(values["metrics-port"]),
        metrics_bind_address=text("metrics-bind-address"),
        metrics_token_file=path("metrics-token-file"),
        metrics_auth=bool(values["metrics-endpoint-auth"]),
        metrics_cert_dir=path("metrics-cert-dir"),
        metrics_client_ca=path("metrics-client-ca-file"),
        metric_names=text("metric-names"),
        verbosity=int(values["v"]),
        log_format=text("log-format"),
        drain_timeout_s=float(values["drain-timeout"]),
        workers=int(values["workers"]),
        worker_ports=bool(values["worker-ports"]),
        transport=TransportKind(values["transport"]),
        ready_file=path("ready-file"),
        notices=notices,
    )
