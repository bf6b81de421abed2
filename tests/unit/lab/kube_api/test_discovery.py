from epp.lab.kube_api.discovery import group_versions
from epp.lab.kube_api.resources import BUILT_IN, Catalogue, Resource
from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import KubeClient, crd

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


async def test_groups_versions_and_resources(kube: KubeClient, api: KubeApi) -> None:
    api.objects.create(crd())
    _, groups = await kube.get("/apis")
    assert "lab.example.com" in [group["name"] for group in groups["groups"]]
    _, group = await kube.get("/apis/lab.example.com")
    assert group["preferredVersion"] == {"groupVersion": "lab.example.com/v1", "version": "v1"}
    _, resources = await kube.get("/apis/lab.example.com/v1")
    assert [each["name"] for each in resources["resources"]] == ["widgets", "widgets/status"]
    assert resources["resources"][0]["shortNames"] == ["wd"]
    _, core = await kube.get("/api/v1")
    assert {"pods", "pods/status", "serviceaccounts/token", "namespaces"} <= {
        each["name"] for each in core["resources"]
    }
    assert (await kube.get("/apis/lab.example.com/v2"))[0] == 404


async def test_all_at_once(kube: KubeClient, api: KubeApi) -> None:
    api.objects.create(crd())
    _, core = await kube.ask("GET", "/api", accept=AGGREGATED)
    _, named = await kube.ask("GET", "/apis", accept=AGGREGATED)
    assert [each["metadata"] for each in core["items"]] == [{}]
    (widgets,) = [each for each in named["items"] if each["metadata"]["name"] == "lab.example.com"]
    (resource,) = widgets["versions"][0]["resources"]
    assert (resource["resource"], resource["scope"], resource["subresources"][0]["subresource"]) == (
        "widgets",
        "Namespaced",
        "status",
    )


async def test_open_api(kube: KubeClient, api: KubeApi) -> None:
    api.objects.create(crd())
    _, index = await kube.get("/openapi/v3")
    assert {"api/v1", "apis/apps/v1", "apis/lab.example.com/v1"} <= set(index["paths"])
    before = index["paths"]["apis/lab.example.com/v1"]["serverRelativeURL"]
    _, document = await kube.get("/openapi/v3/apis/lab.example.com/v1")
    patch = document["paths"]["/apis/lab.example.com/v1/namespaces/{namespace}/widgets/{name}"]["patch"]
    assert "fieldValidation" in [each["name"] for each in patch["parameters"]]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
    assert "com.example.lab.v1.Widget" in document["components"]["schemas"]
    spec = api.objects.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.lab.example.com")
    assert spec is not None
    schema = spec["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    changed = {**schema, "properties": {"spec": {"type": "object"}}}
    version = {**spec["spec"]["versions"][0], "schema": {"openAPIV3Schema": changed}}
    api.objects.apply({**spec, "spec": {**spec["spec"], "versions": [version]}})
    _, index = await kube.get("/openapi/v3")
    assert index["paths"]["apis/lab.example.com/v1"]["serverRelativeURL"] != before
    assert (await kube.get("/openapi/v3/apis/none/v1"))[0] == 404


def test_the_order_of_versions() -> None:
    versions = ("v1beta1", "v2", "v1alpha2", "v1", "v10", "v1beta2", "first")
    catalogue = Catalogue(
        Resource(group="g", version=each, plural="xs", kind="X", namespaced=True) for each in versions
    )
    assert group_versions(catalogue)["g"] == ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha2", "first"]


def test_built_in_resources_have_names_of_their_own() -> None:
    assert len({(each.group, each.version, each.plural) for each in BUILT_IN}) == len(BUILT_IN)
