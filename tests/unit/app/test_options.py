"""Flags as text to values: every type, Go's spellings of values, and messages that name the flag."""

from pathlib import Path

import pytest

from epp.app.flag import Flag, FlagError, FlagType, Group
from epp.app.flag_values import parse_value
from epp.app.flags import FLAGS
from epp.app.options import ServeOptions, TransportKind, parse_flags
from epp.core.protocol.events import BodyMode
from epp.core.routing.priority import BodyPriority
from epp.edge.admin.gates import is_loopback

BY_NAME = {flag.name: flag for flag in FLAGS}
FOR_A_CLUSTER = [flag for flag in FLAGS if flag.without_cluster]


def parsed(**given: str) -> ServeOptions:
    """Options of flags whose dashes are written as underscores."""
    return parse_flags({name.replace("_", "-"): text for name, text in given.items()}, {})


def refusal(**given: str) -> FlagError:
    with pytest.raises(FlagError) as raised:
        parsed(**given)
    return raised.value


def test_without_flags_the_reference_defaults_apply() -> None:
    options = parsed()

    assert (options.grpc_port, options.grpc_health_port, options.metrics_port) == (9002, 9003, 9090)
    assert (options.bind_address, options.metrics_bind_address) == ("0.0.0.0", "")
    assert options.secure_serving
    assert not options.health_on_grpc_port
    assert options.drain_timeout_s == 30.0
    assert options.scrape_interval_s == 0.05
    assert options.metrics_stale_after_s == 2.0
    assert (options.max_body_bytes, options.max_buffered_bytes) == (32 << 20, 256 << 20)
    assert options.assume_body_mode is BodyMode.FULL_DUPLEX_STREAMED
    assert options.body_priority is BodyPriority.LARGER_FIRST
    assert options.honour_subset
    assert options.pool_group == "inference.networking.k8s.io"
    assert options.verbosity == 2
    assert (options.objects, options.config_file, options.envoy_eds, options.cert_path) == (None, None, None, None)
    assert options.notices == ()


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_default_is_a_value_of_its_flag(flag: Flag) -> None:
    parse_value(flag, flag.default)
    assert bool(flag.choices) == (flag.type is FlagType.CHOICE)
    assert not flag.choices or flag.default in flag.choices
    assert flag.text


def test_names_are_unique() -> None:
    names = [flag.name for flag in FLAGS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("text", ["true", "TRUE", "True", "1", "t", "T", "yes", "on"])
def test_words_for_true(text: str) -> None:
    assert parsed(health_checking=text).health_on_grpc_port


@pytest.mark.parametrize("text", ["false", "FALSE", "False", "0", "f", "F", "no", "off"])
def test_words_for_false(text: str) -> None:
    assert not parsed(secure_serving=text).secure_serving


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0.0), ("0s", 0.0), ("250ms", 0.25), ("90s", 90.0), ("1m30s", 90.0), ("1.5h", 5400.0)]
)
def test_durations_as_go_writes_them(text: str, seconds: float) -> None:
    assert parsed(drain_timeout=text).drain_timeout_s == seconds


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("1048576", 1 << 20), ("10M", 10_000_000), ("64Mi", 64 << 20), ("10MiB", 10 << 20)]
)
def test_quantities_as_kubernetes_writes_them(text: str, size_bytes: int) -> None:
    assert parsed(max_body_bytes=text).max_body_bytes == size_bytes


@pytest.mark.parametrize(
    ("text", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("[0:0::1]", "::1")]
)
def test_addresses_lose_their_brackets(text: str, address: str) -> None:
    options = parsed(bind_address=text, metrics_bind_address=text)
    assert (options.bind_address, options.metrics_bind_address) == (address, address)


def test_choices() -> None:
    options = parsed(assume_body_mode="none", body_priority="vllm", metric_names="both", log_format="console")
    assert options.assume_body_mode is BodyMode.NONE
    assert options.body_priority is BodyPriority.VLLM
    assert (options.metric_names, options.log_format) == ("both", "console")


def test_paths_and_texts() -> None:
    options = parsed(objects="pool/", config_text="{}", pool_name="p", ready_file="ready.json")
    assert (options.objects, options.ready_file) == (Path("pool"), Path("ready.json"))
    assert (options.config_text, options.pool_name) == ("{}", "p")


def test_the_namespace_comes_from_the_flag_then_from_the_environment() -> None:
    environment = {"NAMESPACE": "of-the-pod"}
    assert parse_flags({"pool-namespace": "given"}, environment).pool_namespace == "given"
    assert parse_flags({}, environment).pool_namespace == "of-the-pod"
    assert parse_flags({}, {}).pool_namespace == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"grpc_port": "x"}, "'x' is not a whole number"),
        ({"grpc_port": ""}, "'' is not a whole number"),
        ({"grpc_port": "65536"}, "65536 is not a port (0 to 65535)"),
        ({"metrics_port": "-1"}, "-1 is not a port"),
        ({"model_server_metrics_port": "70000"}, "70000 is not a port"),
        ({"secure_serving": "maybe"}, "'maybe' is neither true nor false"),
        ({"drain_timeout": "30"}, "'30' is not a duration such as"),
        ({"drain_timeout": "-1s"}, "is not a duration"),
        ({"max_body_bytes": "12parsecs"}, "'12parsecs' has an unknown suffix"),
        ({"max_body_bytes": "0"}, "must be above 0"),
        ({"body_priority": "smaller-first"}, "'smaller-first' is none of larger-first, vllm, off"),
        ({"transport": "carrier-pigeon"}, "'carrier-pigeon' is none of native, grpcio"),
        ({"tls_min_version": "VersionTLS11"}, "is none of VersionTLS12, VersionTLS13"),
        ({"bind_address": "localhost"}, "'localhost' is not an IP address"),
        (
            {"metrics_bind_address": "0.0.0.0", "objects": "pool/"},
            "0.0.0.0 is reachable by others: give --metrics-token-file",
        ),
        ({"bind_address": ""}, "'' is not an IP address"),
        ({"scrape_cpu_budget": "much"}, "'much' is not a number"),
        ({"scrape_cpu_budget": "1.5"}, "1.5 is not a share of one core"),
        ({"scrape_cpu_budget": "nan"}, "nan is not a share of one core"),
        ({"sample_responses": "-2"}, "must not be negative"),
        ({"model_server_metrics_path": "metrics"}, "'metrics' must begin with /"),
        ({"workers": "-1"}, "-1 is not from 0 to 64"),
        ({"workers": "2", "transport": "grpcio"}, "give --worker-ports, or --transport native"),
        ({"worker_ports": "true"}, "means something only with --workers"),
        ({"worker_ports": "true", "workers": "2", "grpc_port": "65535"}, "2 ports from --grpc-port 65535 on"),
        ({"worker_ports": "true", "workers": "2"}, "ports 9002 to 9003, and --grpc-health-port is 9003"),
    ],
    ids=lambda each: next(iter(each.items())) if isinstance(each, dict) else "",
)
def test_a_wrong_value_names_its_flag(given: dict[str, str], says: str) -> None:
    error = refusal(**given)
    flag = next(iter(given)).replace("_", "-")
    assert error.flag == flag
    assert str(error).startswith(f"--{flag}: ")
    assert says in str(error)


def test_the_environment_gives_defaults() -> None:
    assert parse_flags({}, {}).transport is TransportKind.NATIVE
    assert parse_flags({}, {"EPP_TRANSPORT": "grpcio"}).transport is TransportKind.GRPCIO
    assert parse_flags({"transport": "native"}, {"EPP_TRANSPORT": "grpcio"}).transport is TransportKind.NATIVE
    assert parse_flags({}, {"EPP_TRANSPORT": ""}).transport is TransportKind.NATIVE


def test_flags_that_contradict_each_other() -> None:
    assert "either --config-file or --config-text" in str(refusal(config_file="a", config_text="b"))
    assert refusal(body_priority_min="5", body_priority_max="4").flag == "body-priority-min"


def test_a_token_file_opens_the_metrics_port_to_others() -> None:
    options = parse_flags({"metrics-bind-address": "0.0.0.0", "metrics-token-file": "token"}, {})
    assert options.metrics_token_file == Path("token")


VALUES = {FlagType.BOOL: "true", FlagType.PORTS: "8000", FlagType.TEXT: "x"}


def with_objects(flag: Flag, text: str) -> dict[str, str]:
    """The flag, and what it cannot do without."""
    needed = {"endpoint-target-ports": "8000"} if flag.name == "endpoint-selector" and text else {}
    needed |= {"endpoint-selector": "app=x"} if flag.name == "endpoint-target-ports" and text else {}
    return {"objects": "pool/", **needed, flag.name: text}


@pytest.mark.parametrize("flag", FOR_A_CLUSTER, ids=lambda flag: flag.name)
def test_what_needs_a_cluster_is_refused_without_one(flag: Flag) -> None:
    with pytest.raises(FlagError) as raised:
        parse_flags(with_objects(flag, VALUES[flag.type]), {})
    refused = BY_NAME[raised.value.flag]
    assert str(raised.value) == f"--{refused.name}: {refused.without_cluster}"
    assert refused is flag or {refused.name, flag.name} == {"endpoint-selector", "endpoint-target-ports"}


@pytest.mark.parametrize("flag", FOR_A_CLUSTER, ids=lambda flag: flag.name)
def test_what_needs_a_cluster_may_be_switched_off(flag: Flag) -> None:
    for text in ["false", "0"] if flag.type is FlagType.BOOL else [""]:
        assert parse_flags(with_objects(flag, text), {}).cluster.given == ()


def test_flags_for_a_cluster_are_taken_where_files_are_not_asked_for() -> None:
    options = parsed(ha_enable_leader_election="true", kubeconfig="k.yaml", kube_context="here", pool_name="vllm")
    assert (options.cluster.kubeconfig, options.cluster.kube_context) == ("k.yaml", "here")
    assert options.cluster.leader_election
    assert options.cluster.given == ("kubeconfig", "kube-context", "ha-enable-leader-election")
    assert options.metrics_auth
    assert not parsed(metrics_endpoint_auth="false").metrics_auth


def test_a_selector_has_ports_and_no_pool() -> None:
    options = parsed(endpoint_selector="app=vllm,tier in (gold, silver)", endpoint_target_ports="8000, 8001,8000")
    assert options.cluster.endpoint_selector == "app=vllm,tier in (gold, silver)"
    assert options.cluster.endpoint_target_ports == (8000, 8001)
    for given, says in (
        ({"endpoint_selector": "app=vllm"}, "needs the ports on which the pods serve"),
        ({"endpoint_target_ports": "8000"}, "belongs to --endpoint-selector"),
        ({"endpoint_selector": "a=b", "endpoint_target_ports": "1", "pool_name": "x"}, "leave out --pool-name"),
        ({"endpoint_selector": "a==b==c", "endpoint_target_ports": "1"}, "'a==b==c' is no part of a label selector"),
        ({"endpoint_selector": "a", "endpoint_target_ports": "0"}, "0 is not a port"),
        ({"endpoint_selector": "a", "endpoint_target_ports": "x"}, "'x' is not a whole number"),
        ({"endpoint_selector": "a", "endpoint_target_ports": "1,2,3,4,5,6,7,8,9"}, "9 ports, at most 8"),
    ):
        assert says in str(refusal(**given))


def test_flags_for_a_cluster_explain_what_is_there_instead() -> None:
    assert "--metrics-token-file" in BY_NAME["metrics-endpoint-auth"].without_cluster


def test_client_certificates_need_tls() -> None:
    assert refusal(metrics_client_ca_file="ca.crt").flag == "metrics-client-ca-file"
    assert parsed(metrics_client_ca_file="ca.crt", metrics_cert_dir="tls").metrics_client_ca == Path("ca.crt")


def test_tls_limits() -> None:
    suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256,"
    options = parsed(tls_min_version="VersionTLS13", tls_cipher_suites=suites)
    assert options.only_tls_1_3
    assert options.tls_1_2_ciphers == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert not parsed().only_tls_1_3
    assert "'VersionTLS10' is none of" in str(refusal(tls_min_version="VersionTLS10"))
    assert "'TLS_A' is no cipher suite" in str(refusal(tls_cipher_suites="TLS_A"))


def test_what_has_no_effect_is_accepted_and_said() -> None:
    options = parsed(zap_encoder="json", grpc_max_recv_msg_size="10MiB", enable_pprof="false")
    assert options.notices == (
        "--zap-encoder has no effect: use --log-format",
        "--enable-pprof has no effect: there is no Go profiler in this process",
        "--grpc-max-recv-msg-size has no effect: message sizes follow --max-body-bytes",
    )


def test_what_has_no_effect_is_checked_all_the_same() -> None:
    assert refusal(refresh_prometheus_metrics_interval="often").flag == "refresh-prometheus-metrics-interval"


def test_only_flags_without_effect_are_in_their_group() -> None:
    assert {flag.name for flag in FLAGS if flag.no_effect} == {
        flag.name for flag in FLAGS if flag.group is Group.COMPATIBILITY
    }


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False)]
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_flags_of_the_reference_are_all_known() -> None:
    """Names of its v1.0 to v1.5 and of llm-d-router."""
    missing = set(REFERENCE_FLAGS.split()) - BY_NAME.keys()
    assert not missing


REFERENCE_FLAGS = """
allow-experimental-plugins cache-info-metric cert-path config-file config-text disable-endpoint-subset-filter
drain-timeout emit-endpoint-scores enable-cert-reload enable-grpc-stream-metrics enable-pprof endpoint-selector
endpoint-target-ports grpc-health-port grpc-max-recv-msg-size grpc-max-send-msg-size grpc-port
ha-enable-leader-election health-checking kv-cache-usage-percentage-metric lora-info-metric metrics-cert-dir
metrics-client-ca-file metrics-endpoint-auth metrics-port metrics-staleness-threshold
model-server-metrics-https-insecure-skip-verify model-server-metrics-path model-server-metrics-port
model-server-metrics-scheme pool-group pool-name pool-namespace refresh-metrics-interval
refresh-prometheus-metrics-interval secure-serving tls-cipher-suites tls-min-version total-queued-requests-metric
total-running-requests-metric tracing v zap-devel zap-encoder zap-log-level zap-stacktrace-level zap-time-encoding
"""


def test_a_built_in_policy_excludes_a_configuration() -> None:
    assert parsed().policy == "expected-cost"
    assert parsed(policy="reference").policy == "reference"
    for given in ({"config_file": "c.yaml"}, {"config_text": "kind: x"}):
        assert "leave it out, or leave out --config-file and --config-text" in str(refusal(policy="reference", **given))
        parsed(**given)
    assert "'best' is none of expected-cost, reference" in str(refusal(policy="best"))
