"""Values of the flags, checked: what the composition root is built from."""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from epp.app.flags import FLAGS, REFUSED, Flag, FlagType
from epp.core.config.durations import parse_duration
from epp.core.config.quantities import parse_quantity
from epp.core.domain.errors import PickerError
from epp.core.protocol.events import BodyMode
from epp.core.routing.priority import BodyPriority
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

Value = str | int | float | bool


class FlagError(PickerError):
    """A flag that cannot be used: which one, why, and what to do."""

    def __init__(self, flag: str, problem: str) -> None:
        self.flag = flag
        self.problem = problem
        super().__init__(f"--{flag}: {problem}")


class ServeOptions(msgspec.Struct, frozen=True):
    """Everything that `epp serve` was told; times in seconds, sizes in bytes."""

    objects: Path | None
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
    metrics_token_file: Path | None
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
    for name in given:
        if name in REFUSED and not _means_false(given[name]):
            raise FlagError(name, REFUSED[name])
    values: dict[str, Value] = {}
    for flag in FLAGS:
        text = given.get(flag.name)
        values[flag.name] = parse_value(flag, flag.default if text is None else text)
        if text is not None and flag.no_effect:
            notices.append(f"--{flag.name} has no effect: {flag.no_effect}")
    if "policy" in given and (values["config-file"] or values["config-text"]):
        raise FlagError("policy", "names a built-in policy; leave it out, or leave out --config-file and --config-text")
    _check_together(values)
    return _options(values, environment, tuple(notices))


def parse_value(flag: Flag, text: str) -> Value:
    """The value of one flag; raises FlagError."""
    match flag.type:
        case FlagType.ADDRESS:
            return _address(flag.name, text)
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


def _check_together(values: Mapping[str, Value]) -> None:
    if values["config-file"] and values["config-text"]:
        raise FlagError("config-text", "give either --config-file or --config-text")
    if values["workers"] != 0:
        raise FlagError("workers", "this version serves from one process; use --workers 0")
    if not values["metrics-token-file"] and not is_loopback(str(values["metrics-bind-address"])):
        raise FlagError(
            "metrics-bind-address",
            f"{values['metrics-bind-address']} is reachable by others: give --metrics-token-file, or use 127.0.0.1",
        )
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


def _address(name: str, text: str) -> str:
    """An IP address in its usual spelling; IPv6 may be written in brackets."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise FlagError(name, f"{text!r} is not an IP address") from error


def _options(values: Mapping[str, Value], environment: Mapping[str, str], notices: tuple[str, ...]) -> ServeOptions:
    def text(name: str) -> str:
        return str(values[name])

    def path(name: str) -> Path | None:
        return Path(text(name)) if values[name] else None

    return ServeOptions(
        objects=path("objects"),
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
        metric_names=text("metric-names"),
        verbosity=int(values["v"]),
        log_format=text("log-format"),
        drain_timeout_s=float(values["drain-timeout"]),
        ready_file=path("ready-file"),
        notices=notices,
    )
