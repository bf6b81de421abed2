"""What the values say of the pool, the gateway and the collection of metrics."""

import pytest

from tests.support.helm_chart import Rendering, notes, of_version, with_values


def ports_of(rendering: Rendering) -> list[int]:
    return [port["number"] for port in rendering.one("InferencePool")["spec"]["targetPorts"]]


@pytest.mark.parametrize(
    ("settings", "ports"),
    [
        ((), [8000]),
        (("targetPortNumber=8080",), [8080]),
        (("targetPorts={8001,8002}",), [8001, 8002]),
        (("targetPorts[0].number=8001", "targetPorts[1].number=8002"), [8001, 8002]),
        (("targetPorts[0].number=8001", "targetPortNumber=8000"), [8001]),
    ],
)
def test_ports_of_the_model_servers(settings: tuple[str, ...], ports: list[int]) -> None:
    rendering = with_values("provider.name=gke", *(f"inferencePool.{each}" for each in settings))
    assert ports_of(rendering) == ports
    # The reference asks targetPortNumber for the health check even where the pool does not.
    check = rendering.one("HealthCheckPolicy")["spec"]["default"]["config"]["httpHealthCheck"]
    assert check["port"] == ports[0]


def test_the_older_pool() -> None:
    settings = ("apiVersion=inference.networking.x-k8s.io/v1alpha2", "targetPorts[0].number=8000")
    rendering = with_values("provider.name=gke", *(f"inferencePool.{each}" for each in settings))
    assert rendering.one("InferencePool")["spec"] == {
        "selector": {"app": "vllm"},
        "targetPortNumber": 8000,
        "extensionRef": {"name": "pool-epp", "portNumber": 9002, "failureMode": "FailOpen"},
    }
    assert rendering.flags["pool-group"] == "inference.networking.x-k8s.io"
    for policy in ("HealthCheckPolicy", "GCPBackendPolicy"):
        assert rendering.one(policy)["spec"]["targetRef"]["group"] == "inference.networking.x-k8s.io"


def test_target_port_number_is_the_port_of_the_older_pool() -> None:
    settings = ("apiVersion=inference.networking.x-k8s.io/v1alpha2", "targetPorts={8000}", "targetPortNumber=9000")
    rendering = with_values(*(f"inferencePool.{each}" for each in settings))
    assert rendering.one("InferencePool")["spec"]["targetPortNumber"] == 9000


def test_labels_that_look_like_numbers_are_text() -> None:
    rendering = with_values("inferencePool.modelServers.matchLabels.rank=0")
    labels = {"app": "vllm", "rank": "0"}
    assert rendering.one("InferencePool")["spec"]["selector"]["matchLabels"] == labels


def test_objectives_belong_to_the_pool() -> None:
    first, second, third = of_version("v1.5.0", "none").of_kind("InferenceObjective")
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}
    assert first["metadata"]["name"] == "food-review"
    assert first["spec"] == {"priority": 10, "poolRef": pool}
    assert second["spec"] == {"priority": -1, "poolRef": pool}
    assert third["spec"] == {"poolRef": pool}


def test_a_route_for_one_base_model() -> None:
    (rule,) = of_version("v1.5.0", "none").one("HTTPRoute")["spec"]["rules"]
    header = {"type": "Exact", "name": "X-Gateway-Base-Model-Name", "value": "meta-llama/Llama-3.1-8B-Instruct"}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}, "headers": [header]}]
    assert rule["backendRefs"] == [{"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}]
    assert rule["timeouts"] == {"request": "300s"}


def test_a_route_for_everything() -> None:
    (rule,) = with_values("experimentalHttpRoute.enabled=true").one("HTTPRoute")["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_model_servers_that_speak_grpc() -> None:
    rendering = with_values("provider.name=gke", "inferencePool.modelServerProtocol=grpc")
    assert rendering.one("InferencePool")["spec"]["appProtocol"] == "kubernetes.io/h2c"
    check = rendering.one("HealthCheckPolicy")["spec"]["default"]["config"]
    assert check["type"] == "GRPC"
    # A cluster whose CRD is older does not know the field, so that it is left out where it says the default.
    assert "appProtocol" not in with_values().one("InferencePool")["spec"]


@pytest.mark.parametrize("policy", ["healthCheckPolicy", "gcpBackendPolicy"])
def test_a_policy_of_gke_may_be_left_out(policy: str) -> None:
    kinds = {kind for kind, _ in with_values("provider.name=gke", f"{policy}.create=false").names}
    left = {"HealthCheckPolicy", "GCPBackendPolicy"} & kinds
    assert left == {"healthCheckPolicy": {"GCPBackendPolicy"}, "gcpBackendPolicy": {"HealthCheckPolicy"}}[policy]


@pytest.mark.parametrize("place", ["istio", "provider.istio"])
def test_a_destination_rule_lays_the_policy_over_tls(place: str) -> None:
    rule = with_values(
        "provider.name=istio",
        f"{place}.destinationRule.host=picker.example",
        f"{place}.destinationRule.trafficPolicy.connectionPool.http.http2MaxRequests=1000",
    ).one("DestinationRule")["spec"]
    assert rule == {
        "host": "picker.example",
        "trafficPolicy": {
            "connectionPool": {"http": {"http2MaxRequests": 1000}},
            "tls": {"mode": "SIMPLE", "insecureSkipVerify": True},
        },
    }


def test_without_tls_in_the_picker_there_is_none_in_the_rule() -> None:
    rule = with_values("provider.name=istio", "inferenceExtension.flags.secure-serving=false").one("DestinationRule")
    assert rule["spec"]["trafficPolicy"] == {"tls": {"mode": "DISABLE"}}


MONITORING = "inferenceExtension.monitoring"
COLLECTORS = {"ClusterPodMonitoring", "PodMonitoring", "ServiceMonitor"}


@pytest.mark.parametrize(
    ("settings", "collector"),
    [
        (("provider.name=gke",), {"ClusterPodMonitoring"}),
        (("provider.name=gke", "gke.monitoringSecret.name="), set()),
        (("provider.name=gke", f"{MONITORING}.gke.enabled=false"), set()),
        (("provider.name=gke", f"{MONITORING}.prometheus.enabled=false"), set()),
        (("provider.name=gke", f"{MONITORING}.gke.enabled=true"), {"PodMonitoring"}),
        (("provider.name=gke", f"{MONITORING}.prometheus.enabled=true"), {"PodMonitoring"}),
        ((), set()),
        ((f"{MONITORING}.gke.enabled=true",), set()),
        ((f"{MONITORING}.prometheus.enabled=true",), {"ServiceMonitor"}),
        (("provider.name=istio", f"{MONITORING}.prometheus.enabled=true"), {"ServiceMonitor"}),
    ],
)
def test_who_collects_the_metrics(settings: tuple[str, ...], collector: set[str]) -> None:
    rendering = with_values(*settings)
    assert COLLECTORS & {kind for kind, _ in rendering.names} == collector
    has_reader = collector in ({"PodMonitoring"}, {"ServiceMonitor"})
    assert (("ServiceAccount", "pool-metrics-reader-sa") in rendering.names) is has_reader
    assert bool(rendering.of_kind("Secret")) is has_reader


@pytest.mark.parametrize("provider", ["gke", "none"])
def test_a_reader_is_needed_only_where_metrics_are_guarded(provider: str) -> None:
    auth = f"{MONITORING}.prometheus.auth.enabled=false"
    rendering = with_values(f"provider.name={provider}", f"{MONITORING}.prometheus.enabled=true", auth)
    assert rendering.flags["metrics-endpoint-auth"] == "false"
    assert not rendering.of_kind("Secret")
    assert not rendering.of_kind("ClusterRole")
    (collector,) = (each for each in rendering if each["kind"] in COLLECTORS)
    assert "authorization" not in collector["spec"]["endpoints"][0]


def test_two_pools_of_a_namespace_have_a_reader_each() -> None:
    """The reference's default is one name for all of them, so that the second release is refused."""
    enabled = f"{MONITORING}.prometheus.enabled=true"
    first, second = (with_values(enabled, release=release) for release in ("one", "two"))
    assert not first.names & second.names


def test_a_collector_in_an_autopilot_cluster_lives_elsewhere() -> None:
    rendering = of_version("v1.1.0", "gke")
    name = "gke-gmp-system:collector:inference-pool-metrics-reader-secret-read"
    (subject,) = rendering.named("RoleBinding", name)["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "collector", "namespace": "gke-gmp-system"}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (("inferenceExtension.tracing.enabled=true",), "inferenceExtension.tracing: this version"),
        (("inferenceExtension.image.hub=r.example/gateway-api-inference-extension",), "names the reference's picker"),
        ((f"{MONITORING}.gke.enabled=true",), "monitoring.gke.enabled has no effect: provider.name is none, not gke"),
        (("provider.gke.autopilot=true",), "provider.gke.autopilot has no effect"),
        (("istio.destinationRule.host=a.example",), "istio.destinationRule has no effect: provider.name is none"),
        (("inferencePool.targetPorts={1}", "inferencePool.targetPortNumber=2"), "targetPortNumber has no effect"),
        (("inferencePool.modelServerProtocol=grpc",), "name their port by inferenceExtension.flags"),
        (("provider.name=gke",), "the token in Secret default/inference-gateway-sa-metrics-reader-secret"),
        (
            (
                "inferenceExtension.pluginsCustomConfig.mine=x",
                "inferenceExtension.pluginsConfigFile=mine",
                "inferencePool.modelServerType=sglang",
            ),
            "modelServerType has no effect on mine",
        ),
    ],
)
def test_what_has_no_effect_is_said(settings: tuple[str, ...], line: str) -> None:
    assert line in notes(*settings)


def test_otherwise_nothing_is_said() -> None:
    said = notes()
    assert "Good to know" not in said
    assert "kind: InferencePool" in said
