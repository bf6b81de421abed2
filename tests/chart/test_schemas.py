"""Every object is one that an API server would take."""

import copy

import pytest

from tests.support.chart_golden import CASES
from tests.support.crd_schema import schemas
from tests.support.helm_chart import of_version, rendered, with_values
from tests.support.object_schemas import InvalidObject, check_object

OF_CRDS = ("InferencePool", "InferenceObjective")


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_every_object_is_valid(version: str, provider: str) -> None:
    for described in of_version(version, provider):
        check_object(described)


@pytest.mark.parametrize(
    "settings",
    [
        ("inferenceExtension.replicas=3", "inferenceExtension.flags.ha-enable-leader-election=false"),
        ("provider.name=gke", "inferencePool.modelServerProtocol=grpc"),
        ("provider.name=gke", "inferenceExtension.monitoring.prometheus.auth.enabled=false"),
        ("inferenceExtension.monitoring.prometheus.enabled=true", "inferenceExtension.flags.metrics-cert-dir=/certs"),
        ("provider.name=istio", "inferenceExtension.flags.secure-serving=false"),
        ("inferenceExtension.nodeSelector.disk=fast", "inferenceExtension.podAnnotations.team=inference"),
        ("inferenceExtension.imagePullSecrets[0].name=registry", "inferenceExtension.priorityClassName=high"),
        ("experimentalHttpRoute.enabled=true", "experimentalHttpRoute.inferenceGatewayNamespace=edge"),
    ],
)
def test_so_are_those_of_other_settings(settings: tuple[str, ...]) -> None:
    for described in with_values(*settings):
        check_object(described)


def test_the_pools_and_objectives_are_checked_by_their_crds() -> None:
    for version, _ in CASES:
        for described in of_version(version, "none"):
            if described["kind"] in OF_CRDS:
                assert (described["apiVersion"], described["kind"]) in schemas()


@pytest.mark.parametrize(("version", "provider"), [("v1.1.0", "gke"), ("v1.5.0", "istio"), ("v1.0.0", "gke")])
def test_an_unknown_field_would_be_noticed(version: str, provider: str) -> None:
    for described in of_version(version, provider):
        spoilt = copy.deepcopy(described)
        spoilt.get("spec", spoilt)["typo"] = True
        with pytest.raises(InvalidObject, match="typo"):
            check_object(spoilt)


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_names_belong_together(version: str, provider: str) -> None:
    rendering = of_version(version, provider)
    names = rendering.names
    assert len(names) == len(rendering.objects), "two objects of one kind and name"
    for binding in (*rendering.of_kind("RoleBinding"), *rendering.of_kind("ClusterRoleBinding")):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in names
        for subject in binding["subjects"]:
            is_ours = ("ServiceAccount", subject["name"]) in names and subject["namespace"] == "inference"
            assert is_ours or subject["name"] == "collector"
    assert ("ServiceAccount", rendering.pod["serviceAccountName"]) in names
    labels = rendering.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert rendering.one("Service")["spec"]["selector"].items() <= labels.items()
    for volume in rendering.pod["volumes"]:
        assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in names


@pytest.mark.parametrize(
    ("release", "service", "others"),
    [
        ("vllm", "vllm-epp", "vllm-epp"),
        ("vllm-llama3.1-8b", "vllm-llama3-1-8b-epp", "vllm-llama3.1-8b-epp"),
        ("8b", "epp-8b-epp", "8b-epp"),
        ("a" * 39 + ".b", "a" * 39 + "-epp", "a" * 39 + "-epp"),
        ("a" * 53, "a" * 40 + "-epp", "a" * 40 + "-epp"),
    ],
)
def test_a_service_has_a_name_that_services_may_have(release: str, service: str, others: str) -> None:
    rendering = with_values(release=release)
    assert rendering.one("Service")["metadata"]["name"] == service
    assert rendering.one("InferencePool")["metadata"]["name"] == release
    assert rendering.one("InferencePool")["spec"]["endpointPickerRef"]["name"] == service
    assert rendering.one("Deployment")["metadata"]["name"] == others


def test_a_service_name_in_a_destination_rule_is_that_of_the_service() -> None:
    rendering = with_values("provider.name=istio", release="llama3.1")
    assert rendering.one("DestinationRule")["spec"]["host"] == "llama3-1-epp.inference.svc.cluster.local"


def test_the_namespace_of_the_release_is_that_of_all_objects() -> None:
    rendering = rendered("--set=inferencePool.modelServers.matchLabels.app=vllm", namespace="elsewhere")
    assert {each["metadata"].get("namespace", "elsewhere") for each in rendering} == {"elsewhere"}
    assert rendering.flags["pool-namespace"] == "elsewhere"
