"""Values of the flags, checked: what the composition root is built from."""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from epp.app.flag import Flag, FlagType
from epp.app.flags import FLAGS
from epp.core.config.durations import parse_duration
from epp.core.config.quantities import parse_quantity
from epp.core.domain.errors import PickerError
from epp.core.protocol.events import BodyMode
from epp.core.routing.priority import BodyPriority
from epp.core.scheduling.selector_text import parse_selector
from epp.edge.admin.gates import is_loopback

BODY_MODES = {
    "full-duplex": BodyMode.FULL_DUPLEX_STREAMED,
    "buffered": BodyMode.BUFFERED,
    "streamed": BodyMode.STREAMED,
    "none": BodyMode.NONE,
}
HIGHEST_PORT = 65535
TRUE_WORDS = ("true", "1", "t", "yes", "on")
FALSE_WORDS = ("false", "0", "f", "no", "off")

Value = str | int | float | bool | tuple[int, ...]
MOST_TARGET_PORTS = 8


class FlagError(PickerError):
    """A flag that cannot be used: which one, why, and what to do."""

    def __init__(self, flag: str, problem: str) -> None:
        self.flag = flag
        self.problem = problem
        super().__init__(f"--{flag}: {problem}")


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
    tls_min_version: str
    tls_cipher_suites: tuple[str, ...]
    scrape_interval_s: float
    metrics_stale_after_s: float
    scrape_cpu_budget: float
    page_port: int
    page_path: str
    page_scheme: str
    page_verify_tls: bool
    waiting_metric: str
    running_metric: str
    kv_usage_metric: str
    lora_metric: str
    cache_info_metric: str
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
        values[flag.name] = parse_value(flag, flag.default if text is None else text)
        if text is not None and flag.no_effect:
            notices.append(f"--{flag.name} has no effect: {flag.no_effect}")
        if flag.without_cluster and text is not None and not _means_false(text):
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


def parse_value(flag: Flag, text: str) -> Value:
    """The value of one flag; raises FlagError."""
    match flag.type:
        case FlagType.ADDRESS:
            return _address(flag.name, text) if text or flag.default else ""
        case FlagType.PORTS:
            return _ports(flag.name, text)
        case FlagType.INT:
            return _integer(flag.name, text)
        case FlagType.BOOL:
            return _boolean(flag.name, text)
        case FlagType.CHOICE if text not in flag.choices:
            raise FlagError(flag.name, f"{text!r} is none of {', '.join(flag.choices)}")
        case FlagType.DURATION:
            return _parsed(flag.name, parse_duration, text)
        case FlagType.QUANTITY:
            return _parsed(flag.name, parse_quantity, text.removesuffix("B")) if text else 0
        case _:
            return text


def _parsed(name: str, parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise FlagError(name, str(error)) from error


def _integer(name: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise FlagError(name, f"{text!r} is not a whole number") from error
    if name.endswith("-port") and not 0 <= value <= HIGHEST_PORT:
        raise FlagError(name, f"{value} is not a port (0 to {HIGHEST_PORT})")
    return value


def _boolean(name: str, text: str) -> bool:
    word = text.lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise FlagError(name, f"{text!r} is neither true nor false")
    return word in TRUE_WORDS


def _means_false(text: str) -> bool:
    return not text or text.lower() in FALSE_WORDS


def _check_together(values: Mapping[str, Any]) -> None:
    if values["config-file"] and values["config-text"]:
        raise FlagError("config-text", "give either --config-file or --config-text")
    if values["workers"] != 0:
        raise FlagError("workers", "this version serves from one process; use --workers 0")
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


def _ports(name: str, text: str) -> tuple[int, ...]:
    """Each port once, in the order of their first mention."""
    ports = dict.fromkeys(_integer(name, part.strip()) for part in text.split(",") if part.strip())
    for port in ports:
        if not 1 <= port <= HIGHEST_PORT:
            raise FlagError(name, f"{port} is not a port (1 to {HIGHEST_PORT})")
    if len(ports) > MOST_TARGET_PORTS:
        raise FlagError(name, f"{len(ports)} ports, at most {MOST_TARGET_PORTS} are allowed")
    return tuple(ports)


def _address(name: str, text: str) -> str:
    """An IP address in its usual spelling; IPv6 may be written in brackets."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise FlagError(name, f"{text!r} is not an IP address") from error


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
        pool_namespace=text("pool-namespace") or environment.get("NAMESPACE", ""),
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
        tls_min_version=text("tls-min-version"),
        tls_cipher_suites=tuple(filter(None, (name.strip() for name in text("tls-cipher-suites").split(",")))),
        scrape_interval_s=float(values["refresh-metrics-interval"]),
        metrics_stale_after_s=float(values["metrics-staleness-threshold"]),
        scrape_cpu_budget=float(values["scrape-cpu-budget"]),
        page_port=int(values["model-server-metrics-port"]),
        page_path=text("model-server-metrics-path"),
        page_scheme=text("model-server-metrics-scheme"),
        page_verify_tls=not values["model-server-metrics-https-insecure-skip-verify"],
        waiting_metric=text("total-queued-requests-metric"),
        running_metric=text("total-running-requests-metric"),
        kv_usage_metric=text("kv-cache-usage-percentage-metric"),
        lora_metric=text("lora-info-metric"),
        cache_info_metric=text("cache-info-metric"),
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
        ready_file=path("ready-file"),
        notices=notices,
    )
