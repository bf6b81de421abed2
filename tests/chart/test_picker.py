"""The picker's pod: flags that `epp serve` takes, ports that belong together, how it runs, how it is replaced."""

import pytest
from click import NoSuchOption

from epp import __version__
from epp.app.options import parse_flags
from epp.cli.serve import as_written, command
from epp.edge.extproc.health import LIVENESS, READINESS_NAMES
from tests.support.chart_golden import CASES
from tests.support.helm_chart import Rendering, of_version, with_values


def check_flags(rendering: Rendering) -> None:
    """As the command line reads them, and then their values."""
    read = command.make_context("serve", rendering.picker["args"][1:]).params
    given = as_written(read)
    assert given == rendering.flags
    parse_flags(given, {})


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_the_picker_takes_its_flags(version: str, provider: str) -> None:
    check_flags(of_version(version, provider))


@pytest.mark.parametrize("kind", ["sglang", "triton-tensorrt-llm", "trtllm-serve", "triton"])
def test_and_those_for_other_model_servers(kind: str) -> None:
    rendering = with_values(f"inferencePool.modelServerType={kind}")
    check_flags(rendering)
    assert ("model-server-metrics-path" in rendering.flags) is (kind == "trtllm-serve")


def test_a_flag_that_the_picker_does_not_know_would_be_noticed() -> None:
    with pytest.raises(NoSuchOption, match="--nonsense"):
        check_flags(with_values("inferenceExtension.flags.nonsense=1"))


def test_flags_without_any_of_the_users() -> None:
    assert with_values().flags == {
        "config-file": "/config/default-plugins.yaml",
        "drain-timeout": "30s",
        "grpc-port": "9002",
        "pool-group": "inference.networking.k8s.io",
        "pool-name": "pool",
        "pool-namespace": "inference",
    }


def test_flags_are_a_list_or_a_map() -> None:
    as_list = with_values("inferenceExtension.flags[0].name=v", "inferenceExtension.flags[0].value=4")
    as_map = with_values("inferenceExtension.flags.v=4")
    assert as_list.flags == as_map.flags == {**with_values().flags, "v": "4"}


def test_large_numbers_are_written_as_whole_numbers() -> None:
    assert of_version("v1.5.0", "none").flags["max-body-bytes"] == "33554432"


def test_a_flag_of_the_user_wins_and_null_takes_one_back() -> None:
    assert with_values("inferenceExtension.flags.pool-group=llm-d.ai").flags["pool-group"] == "llm-d.ai"
    assert "v" not in with_values("inferenceExtension.flags.v=4", "inferenceExtension.flags.v=null").flags


@pytest.mark.parametrize("name", ["policy", "config-text"])
def test_a_policy_by_flag_takes_the_place_of_the_file(name: str) -> None:
    rendering = with_values(f"inferenceExtension.flags.{name}=reference")
    assert "config-file" not in rendering.flags
    assert rendering.flags[name] == "reference"


def test_ports_follow_the_flags() -> None:
    flags = ("grpc-port=9102", "grpc-health-port=9103", "metrics-port=9190")
    rendering = with_values(*(f"inferenceExtension.flags.{flag}" for flag in flags))
    assert {port["name"]: port["containerPort"] for port in rendering.picker["ports"]} == {
        "grpc": 9102,
        "grpc-health": 9103,
        "metrics": 9190,
    }
    assert rendering.picker["readinessProbe"]["grpc"]["port"] == 9103
    assert [(port["port"], port["targetPort"]) for port in rendering.one("Service")["spec"]["ports"]] == [
        (9002, 9102),
        (9090, 9190),
    ]


def test_another_ext_proc_port_is_that_of_service_pool_and_picker() -> None:
    rendering = with_values("inferenceExtension.extProcPort=9010", "inferenceExtension.metricsPort=9099")
    assert rendering.flags["grpc-port"] == "9010"
    assert rendering.flags["metrics-port"] == "9099"
    assert [port["targetPort"] for port in rendering.one("Service")["spec"]["ports"]] == [9010, 9099]
    assert rendering.one("InferencePool")["spec"]["endpointPickerRef"]["port"]["number"] == 9010


def test_probes_ask_for_services_that_the_picker_knows() -> None:
    picker = with_values().picker
    assert picker["livenessProbe"]["grpc"]["service"] == LIVENESS
    assert picker["readinessProbe"]["grpc"]["service"] in READINESS_NAMES


def test_the_process_may_do_nothing_that_it_need_not() -> None:
    rendering = with_values()
    assert rendering.picker["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert rendering.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_there_is_time_for_the_drain() -> None:
    rendering = with_values("inferenceExtension.drainTimeoutSeconds=120")
    assert rendering.flags["drain-timeout"] == "120s"
    assert rendering.pod["terminationGracePeriodSeconds"] > 120


def test_one_replica_is_replaced_without_a_gap() -> None:
    strategy = with_values().one("Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_of_several_replicas_one_leads_and_all_may_be_replaced_at_once() -> None:
    rendering = with_values("inferenceExtension.replicas=2")
    assert rendering.flags["ha-enable-leader-election"] == "true"
    # A standby is never ready: a strategy or a budget that spares a ready pod would spare the old leader for ever.
    assert rendering.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == "100%"
    assert not rendering.of_kind("PodDisruptionBudget")
    (spread,) = rendering.pod["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == rendering.one("Deployment")["spec"]["selector"]["matchLabels"]


def test_several_replicas_that_all_answer_have_a_budget() -> None:
    rendering = with_values("inferenceExtension.replicas=3", "inferenceExtension.flags.ha-enable-leader-election=false")
    assert rendering.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert rendering.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert not [each for each in rendering.of_kind("Role") if each["metadata"]["name"].endswith("leader-election")]


def test_variables_of_the_user_come_once() -> None:
    names = [each["name"] for each in with_values().picker["env"]]
    assert names == ["NAMESPACE", "POD_NAME"]
    picker = with_values("inferenceExtension.env[0].name=NAMESPACE", "inferenceExtension.env[0].value=other").picker
    assert [(each["name"], each.get("value")) for each in picker["env"]] == [("POD_NAME", None), ("NAMESPACE", "other")]


@pytest.mark.parametrize(
    ("settings", "image"),
    [
        ((), f"endpoint-picker:{__version__}"),
        (("tag=v2",), "endpoint-picker:v2"),
        (("registry=registry.example", "repository=team/picker", "tag=v2"), "registry.example/team/picker:v2"),
        (("hub=registry.example/team", "name=epp", "tag=v2"), "registry.example/team/epp:v2"),
        (("hub=registry.example/team/",), f"registry.example/team/endpoint-picker:{__version__}"),
    ],
)
def test_the_image(settings: tuple[str, ...], image: str) -> None:
    assert with_values(*(f"inferenceExtension.image.{each}" for each in settings)).picker["image"] == image


def test_traces_are_configured_by_the_usual_variables() -> None:
    picker = of_version("v1.1.0", "none").picker
    assert {each["name"]: each["value"] for each in picker["env"] if each["name"].startswith("OTEL")} == {
        "OTEL_SERVICE_NAME": "endpoint-picker",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4317",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
    }


def test_a_sidecar_has_all_that_its_values_say() -> None:
    rendering = of_version("v1.5.0", "none")
    sidecar = rendering.pod["containers"][1]
    assert sidecar["command"] == ["/tokenizer"]
    assert sidecar["args"] == ["--pool=pool", "--port=8088"]
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert rendering.named("ConfigMap", "tokenizer-config")["data"] == {"config.yaml": "workers: 2\n"}
    assert {"name": "tokenizer-config", "configMap": {"name": "tokenizer-config"}} in rendering.pod["volumes"]
    assert {"name": "tokenizers", "mountPath": "/tokenizers"} in rendering.picker["volumeMounts"]
