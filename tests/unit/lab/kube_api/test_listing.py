import pytest

from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import PODS, KubeClient, pod


async def five_pods(kube: KubeClient) -> str:
    for name in "abcde":
        await kube.create(PODS, pod(name, labels={"half": "first" if name < "d" else "second"}))
    _, pods = await kube.get(PODS)
    return str(pods["metadata"]["resourceVersion"])


def names(listed: dict[str, list[dict[str, dict[str, str]]]]) -> str:
    return "".join(item["metadata"]["name"] for item in listed["items"])


async def test_pages_are_of_one_version(kube: KubeClient) -> None:
    await five_pods(kube)
    _, first = await kube.get(PODS, limit="2")
    assert (names(first), first["metadata"]["remainingItemCount"]) == ("ab", 3)
    await kube.delete(f"{PODS}/d")
    await kube.create(PODS, pod("b2"))
    _, second = await kube.get(PODS, limit="2", **{"continue": first["metadata"]["continue"]})
    _, third = await kube.get(PODS, limit="2", **{"continue": second["metadata"]["continue"]})
    assert names(second) + names(third) == "cde"
    assert "continue" not in third["metadata"]
    assert {page["metadata"]["resourceVersion"] for page in (first, second, third)} == {
        first["metadata"]["resourceVersion"]
    }


async def test_a_page_with_a_selector_is_full_and_does_not_say_what_remains(kube: KubeClient) -> None:
    await five_pods(kube)
    _, first = await kube.get(PODS, limit="1", labelSelector="half=second")
    assert names(first) == "d"
    assert "remainingItemCount" not in first["metadata"]
    _, second = await kube.get(
        PODS, limit="1", labelSelector="half=second", **{"continue": first["metadata"]["continue"]}
    )
    assert names(second) == "e"


async def test_an_expired_token_says_how_to_go_on(api: KubeApi, kube: KubeClient) -> None:
    await five_pods(kube)
    _, first = await kube.get(PODS, limit="2")
    api.compact()
    status, gone = await kube.get(PODS, limit="2", **{"continue": first["metadata"]["continue"]})
    assert (status, gone["reason"]) == (410, "Expired")
    assert "continue parameter is too old" in gone["message"]
    _, rest = await kube.get(PODS, **{"continue": gone["metadata"]["continue"]})
    assert names(rest) == "cde"


async def test_versions(api: KubeApi, kube: KubeClient) -> None:
    then = await five_pods(kube)
    await kube.delete(f"{PODS}/a")
    _, exact = await kube.get(PODS, resourceVersion=then, resourceVersionMatch="Exact")
    assert (names(exact), exact["metadata"]["resourceVersion"]) == ("abcde", then)
    _, newer = await kube.get(PODS, resourceVersion=then, resourceVersionMatch="NotOlderThan")
    assert names(newer) == "bcde"
    _, with_limit = await kube.get(PODS, resourceVersion=then, limit="1")
    assert with_limit["metadata"]["resourceVersion"] == then
    _, any_version = await kube.get(PODS, resourceVersion="0", limit="1")
    assert names(any_version) == "bcde"
    api.compact()
    assert (await kube.get(PODS, resourceVersion=then, resourceVersionMatch="Exact"))[0] == 410


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"resourceVersion": "999999"}, 504, "Too large resource version"),
        ({"resourceVersion": "x"}, 400, "invalid syntax"),
        ({"resourceVersionMatch": "Exact"}, 422, "forbidden unless resourceVersion is provided"),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422, 'forbidden for resourceVersion "0"'),
        ({"resourceVersion": "1", "resourceVersionMatch": "Newer"}, 422, "Unsupported value"),
        ({"continue": "!"}, 400, "continue key is not valid"),
        ({"limit": "many"}, 400, "invalid syntax"),
        ({"sendInitialEvents": "true"}, 422, "forbidden for list"),
    ],
)
async def test_what_cannot_be_listed(kube: KubeClient, query: dict[str, str], status: int, words: str) -> None:
    code, told = await kube.get(PODS, **query)
    assert (code, told["kind"], told["code"]) == (status, "Status", status)
    assert words in told["message"]


async def test_all_namespaces_and_none(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a"))
    await kube.create("/api/v1/namespaces/kube-system/pods", pod("b"))
    assert names((await kube.get("/api/v1/pods"))[1]) == "ab"
    assert names((await kube.get(PODS, fieldSelector="metadata.name=a"))[1]) == "a"
    assert names((await kube.get("/api/v1/namespaces/nowhere/pods"))[1]) == ""
