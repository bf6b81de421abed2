"""Who may come in, who may do what, and the reviews that ask about it."""

from typing import Any

import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.kube_api import PODS, KubeClient, pod

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
Json = dict[str, Any]


def rule(verbs: str, resources: str, *, groups: str = "", **more: list[str]) -> Json:
    return {"apiGroups": groups.split(",") or [""], "resources": resources.split(), "verbs": verbs.split(), **more}


def binding(role: str, subject: Json, *, cluster: bool = False) -> Json:
    kind = "ClusterRole" if cluster else "Role"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {"metadata": {"name": f"{role}-binding"}, "roleRef": reference, "subjects": [subject]}


async def picker(kube: KubeClient, *rules: Json) -> Json:
    """A service account with a role in its namespace."""
    await kube.create(ACCOUNTS, {"metadata": {"name": "picker"}})
    await kube.create(f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "reader"}, "rules": list(rules)})
    subject = {"kind": "ServiceAccount", "name": "picker", "namespace": "default"}
    status, made = await kube.create(f"{RBAC}/namespaces/default/rolebindings", binding("reader", subject))
    assert status == 201, made
    return subject


@pytest.mark.parametrize("token", [None, "wrong", "a.b.c"])
async def test_without_good_credentials_nothing_is_told(api: KubeApi, token: str | None) -> None:
    async with KubeClient(api.url, api.ca_pem, token) as nobody:
        status, told = await nobody.get(PODS)
    assert (status, told["reason"], told["message"]) == (401, "Unauthorized", "Unauthorized")


async def test_a_role_allows_what_it_names_and_nothing_else(api: KubeApi, kube: KubeClient) -> None:
    await picker(kube, rule("get list watch", "pods"), rule("patch", "pods/status", resourceNames=["a"]))
    await kube.create(PODS, pod("a"))
    async with KubeClient(api.url, api.ca_pem, api.account_token("default", "picker")) as account:
        assert (await account.get(PODS))[0] == 200
        assert (await account.merge(f"{PODS}/a/status", {"status": {"phase": "Running"}}))[0] == 200
        status, told = await account.merge(f"{PODS}/b/status", {})
        user = 'User "system:serviceaccount:default:picker"'
        where = 'in API group "" in the namespace'
        assert (status, told["reason"], told["details"]) == (403, "Forbidden", {"name": "b", "kind": "pods"})
        assert told["message"] == (
            f'pods "b" is forbidden: {user} cannot patch resource "pods/status" {where} "default"'
        )
        _, told = await account.get("/api/v1/namespaces/kube-system/pods")
        assert told["message"] == f'pods is forbidden: {user} cannot list resource "pods" {where} "kube-system"'
        _, told = await account.get("/api/v1/pods", watch="true")
        assert told["message"] == (
            f'pods is forbidden: {user} cannot watch resource "pods" in API group "" at the cluster scope'
        )


async def test_it_is_forbidden_before_it_is_not_found(api: KubeApi) -> None:
    async with KubeClient(api.url, api.ca_pem, api.token("jane")) as jane:
        status, told = await jane.get("/apis/no.such.group/v1/namespaces/x/things")
        assert status == 403
        assert told["message"] == (
            'things.no.such.group is forbidden: User "jane" cannot list resource "things" '
            'in API group "no.such.group" in the namespace "x"'
        )
        status, told = await jane.get("/metrics")
        assert (status, told["message"]) == (403, 'forbidden: User "jane" cannot get path "/metrics"')
        assert (await jane.get("/version"))[0] == 200


async def test_cluster_roles_groups_and_aggregation(api: KubeApi, kube: KubeClient) -> None:
    part = {"name": "part", "labels": {"to": "whole"}}
    await kube.create(f"{RBAC}/clusterroles", {"metadata": part, "rules": [rule("list", "*")]})
    selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "whole"}}]}
    await kube.create(f"{RBAC}/clusterroles", {"metadata": {"name": "whole"}, "aggregationRule": selector})
    group = {"kind": "Group", "name": "readers"}
    await kube.create(f"{RBAC}/clusterrolebindings", binding("whole", group, cluster=True))
    async with KubeClient(api.url, api.ca_pem, api.token("jane", ["readers"])) as jane:
        assert (await jane.get("/api/v1/pods"))[0] == 200
        assert (await jane.get("/apis/apps/v1/deployments"))[0] == 403
        assert (await jane.delete(f"{PODS}/a"))[0] == 403


async def test_a_binding_keeps_its_role(kube: KubeClient) -> None:
    await picker(kube, rule("get", "pods"))
    path = f"{RBAC}/namespaces/default/rolebindings/reader-binding"
    status, told = await kube.merge(path, {"roleRef": {"name": "other"}})
    assert status == 422
    assert "cannot change roleRef" in told["message"]


async def test_a_token_request_lasts_as_long_as_it_says() -> None:
    now_s = 1_700_000_000.0
    async with KubeApi(clock=lambda: now_s) as api, KubeClient(api.url, api.ca_pem, api.admin_token) as kube:
        await picker(kube, rule("list", "pods"))
        status, made = await kube.create(f"{ACCOUNTS}/picker/token", {"spec": {"expirationSeconds": 600}})
        assert (status, made["kind"]) == (201, "TokenRequest")
        assert made["status"]["expirationTimestamp"] == "2023-11-14T22:23:20Z"
        async with KubeClient(api.url, api.ca_pem, made["status"]["token"]) as account:
            answers = []
            for offset_s in (0, 599, 600, 0):
                api.clock_offset_s = offset_s
                answers.append((await account.get(PODS))[0])
            assert answers == [200, 200, 401, 200]
            await kube.delete(f"{ACCOUNTS}/picker")
            assert (await account.get(PODS))[0] == 401


async def test_token_requests_that_are_refused(api: KubeApi, kube: KubeClient) -> None:
    _, elsewhere = await kube.create(f"{ACCOUNTS}/default/token", {"spec": {"audiences": ["vault"]}})
    async with KubeClient(api.url, api.ca_pem, elsewhere["status"]["token"]) as account:
        assert (await account.get("/version"))[0] == 401
    assert (await kube.create(f"{ACCOUNTS}/picker/token", {}))[0] == 404
    assert (await kube.create(f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 5}}))[0] == 422


async def test_a_secret_with_the_token_of_an_account(api: KubeApi, kube: KubeClient) -> None:
    await picker(kube, rule("list", "pods"))
    annotations = {"kubernetes.io/service-account.name": "picker"}
    secret = {"metadata": {"name": "reader", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    secrets = "/api/v1/namespaces/default/secrets"
    await kube.create(secrets, secret)
    _, filled = await kube.get(f"{secrets}/reader")
    assert set(filled["data"]) == {"token", "ca.crt", "namespace"}
    token = _decoded(filled["data"]["token"])
    assert _decoded(filled["data"]["ca.crt"]) == api.ca_pem
    async with KubeClient(api.url, api.ca_pem, token) as account:
        assert (await account.get(PODS))[0] == 200
        await kube.delete(f"{secrets}/reader")
        assert (await account.get(PODS))[0] == 401


def _decoded(text: str) -> str:
    from base64 import b64decode

    return b64decode(text).decode()


async def test_token_reviews(api: KubeApi, kube: KubeClient) -> None:
    await picker(kube)
    token = api.account_token("default", "picker")
    status, review = await kube.create(TOKEN_REVIEWS, {"spec": {"token": token}})
    assert status == 201
    assert review["status"]["authenticated"] is True
    assert review["status"]["user"]["username"] == "system:serviceaccount:default:picker"
    assert "system:serviceaccounts:default" in review["status"]["user"]["groups"]
    _, review = await kube.create(TOKEN_REVIEWS, {"spec": {"token": "stale"}})
    assert "authenticated" not in review["status"]
    assert "invalid bearer token" in review["status"]["error"]
    _, review = await kube.create(TOKEN_REVIEWS, {"spec": {"token": token, "audiences": ["others"]}})
    assert "authenticated" not in review["status"]
    assert (await kube.get(TOKEN_REVIEWS))[0] == 405


async def test_subject_access_reviews(api: KubeApi, kube: KubeClient) -> None:
    await kube.create(
        f"{RBAC}/clusterroles",
        {"metadata": {"name": "metrics"}, "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]},
    )
    subject = {"kind": "ServiceAccount", "name": "scraper", "namespace": "default"}
    await kube.create(f"{RBAC}/clusterrolebindings", binding("metrics", subject, cluster=True))

    async def allowed(path: str, verb: str = "get", user: str = "system:serviceaccount:default:scraper") -> Json:
        spec = {"user": user, "nonResourceAttributes": {"path": path, "verb": verb}}
        status, review = await kube.create(ACCESS_REVIEWS, {"spec": spec})
        assert status == 201
        answer: Json = review["status"]
        return answer

    granted = await allowed("/metrics")
    assert granted["allowed"] is True
    assert granted["reason"] == (
        'RBAC: allowed by ClusterRoleBinding "metrics-binding" of ClusterRole "metrics" '
        'to ServiceAccount "scraper/default"'
    )
    assert await allowed("/metrics", "post") == {"allowed": False}
    assert await allowed("/debug") == {"allowed": False}
    assert await allowed("/metrics", user="jane") == {"allowed": False}
    assert (await kube.create(ACCESS_REVIEWS, {"spec": {"user": "jane"}}))[0] == 422
    assert (await kube.create(ACCESS_REVIEWS, {"spec": {"nonResourceAttributes": {"path": "/"}}}))[0] == 422


async def test_what_may_i_do(api: KubeApi, kube: KubeClient) -> None:
    await picker(kube, rule("get list", "pods"))
    async with KubeClient(api.url, api.ca_pem, api.account_token("default", "picker")) as account:
        spec = {"resourceAttributes": {"namespace": "default", "verb": "list", "resource": "pods"}}
        path = "/apis/authorization.k8s.io/v1"
        _, review = await account.create(f"{path}/selfsubjectaccessreviews", {"spec": spec})
        assert review["status"]["allowed"] is True
        _, review = await account.create(f"{path}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})
        expected = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
        assert expected in review["status"]["resourceRules"]
        _, review = await account.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert review["status"]["userInfo"]["username"] == "system:serviceaccount:default:picker"


async def test_a_token_that_ends(api: KubeApi) -> None:
    token = api.token("jane", ["system:masters"])
    async with KubeClient(api.url, api.ca_pem, token) as jane:
        assert (await jane.get(PODS))[0] == 200
        api.revoke(token)
        assert (await jane.get(PODS))[0] == 401


async def test_another_authority_is_not_trusted(api: KubeApi) -> None:
    import aiohttp

    other = KubeApi(KubeApiSettings())
    async with KubeClient(api.url, other.ca_pem, api.admin_token) as stranger:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await stranger.get("/version")
