"""Whatever a body holds, the answer is one that an API server gives, and never a fault of this one."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.kube_api import PODS, WIDGETS, KubeClient, crd, pod, widget
from tests.support.kube_schemas import built_in_schemas

Json = dict[str, Any]
Path = tuple[str | int, ...]
NAMESPACE = "namespaces/default"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
EXPRESSION = {"key": "a", "operator": "Exists", "values": []}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [EXPRESSION]}
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1"}
BODIES: dict[str, Json] = {
    CRDS: crd(),
    PODS: pod("a", labels={"a": "b"}),
    WIDGETS: widget("w", size=1),
    f"/apis/rbac.authorization.k8s.io/v1/{NAMESPACE}/rolebindings": {
        "metadata": {"name": "b", "ownerReferences": [OWNER], "finalizers": ["a.io/b"], "annotations": {"a": "b"}},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "jane"}],
    },
    f"/api/v1/{NAMESPACE}/services": {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}},
    f"/api/v1/{NAMESPACE}/secrets": {"metadata": {"name": "s"}, "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
    f"/apis/coordination.k8s.io/v1/{NAMESPACE}/leases": {
        "metadata": {"name": "l"},
        "spec": {"leaseDurationSeconds": 1},
    },
    f"/apis/apps/v1/{NAMESPACE}/deployments": {
        "metadata": {"name": "d"},
        "spec": {"selector": SELECTOR, "template": TEMPLATE},
    },
    f"/api/v1/{NAMESPACE}/serviceaccounts/default/token": {"spec": {"expirationSeconds": 700, "audiences": ["a"]}},
    "/apis/authentication.k8s.io/v1/tokenreviews": {"spec": {"token": "a", "audiences": ["b"]}},
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": {
        "spec": {"user": "a", "resourceAttributes": {"verb": "get", "resource": "pods"}}
    },
}
JUNK: tuple[Any, ...] = (None, 1.5, "x", [None], {"a": [1]}, True)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Of everything inside of a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for step, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, step))


def replaced(value: Any, path: Path, junk: Any) -> Any:
    if not path:
        return junk
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], junk)
    return copy


@pytest.fixture(params=["with schemas", "without"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[KubeClient]:
    schemas = built_in_schemas() if request.param == "with schemas" else None
    async with (
        KubeApi(KubeApiSettings(seed=1), schemas=schemas) as api,
        KubeClient(api.url, api.ca_pem, api.admin_token) as kube,
    ):
        await kube.create(CRDS, crd())
        await kube.create(PODS, pod("there"))
        yield kube


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.rpartition("/")[2])
async def test_creating(client: KubeClient, path: str) -> None:
    for place in places(BODIES[path]):
        for junk in JUNK:
            status, told = await client.create(path, replaced(BODIES[path], place, junk), dryRun="All")
            assert status in (200, 201, 400, 403, 404, 409, 422), (place, junk, told)
            assert isinstance(told, dict)


@pytest.mark.parametrize("kind", ["merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml"])
async def test_patching(client: KubeClient, kind: str) -> None:
    query = {"fieldManager": "f", "force": "true", "dryRun": "All"}
    for place in places(BODIES[PODS]):
        for junk in JUNK:
            patch = replaced(BODIES[PODS], place, junk)
            status, told = await client.ask(
                "PATCH", f"{PODS}/there", patch, content_type=f"application/{kind}", **query
            )
            assert status in (200, 400, 409, 422), (place, junk, told)
            assert isinstance(told, dict)
