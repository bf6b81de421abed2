"""Real kubectl against the emulated server."""

import json
from pathlib import Path
from typing import Any

import yaml

from epp.lab.kube_api.server import KubeApi
from tests.support.eventually import eventually
from tests.support.kube_api import crd, pod, widget
from tests.support.kubectl import CommandLine

COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


def text(*objects: dict[str, Any]) -> str:
    return yaml.safe_dump_all(objects)


async def test_apply_creates_and_then_changes(shell: CommandLine) -> None:
    out = await shell.kubectl("apply", "-f", "-", stdin=text(crd(additionalPrinterColumns=COLUMNS)))
    assert out == "customresourcedefinition.apiextensions.k8s.io/widgets.lab.example.com created\n"
    await shell.kubectl("wait", "--for=condition=established", "crd/widgets.lab.example.com", "--timeout=5s")
    objects = text(widget("w", size=2), pod("p", labels={"app": "vllm"}))
    assert await shell.kubectl("apply", "-f", "-", stdin=objects) == "widget.lab.example.com/w created\npod/p created\n"
    changed = text(widget("w", size=3), pod("p", labels={"app": "other"}))
    assert await shell.kubectl("apply", "-f", "-", stdin=changed) == (
        "widget.lab.example.com/w configured\npod/p configured\n"
    )
    assert await shell.kubectl("apply", "-f", "-", stdin=changed) == (
        "widget.lab.example.com/w unchanged\npod/p unchanged\n"
    )
    assert await shell.kubectl("get", "wd", "w", "-o", "jsonpath={.spec.size}") == "3"
    assert (await shell.kubectl("get", "widgets")).split()[:5] == ["NAME", "SIZE", "AGE", "w", "3"]
    assert await shell.kubectl("get", "pods", "-l", "app=other", "-o", "name") == "pod/p\n"
    assert await shell.kubectl("diff", "-f", "-", stdin=changed) == ""


async def test_get_shows_tables_and_objects(shell: CommandLine) -> None:
    await shell.kubectl("apply", "-f", "-", stdin=text(pod("a"), pod("b")))
    shown = (await shell.kubectl("get", "pods")).splitlines()
    assert [line.split()[:4] for line in shown] == [
        ["NAME", "READY", "STATUS", "RESTARTS"],
        ["a", "0/1", "Pending", "0"],
        ["b", "0/1", "Pending", "0"],
    ]
    assert (
        yaml.safe_load(await shell.kubectl("get", "pod", "a", "-o", "yaml"))["spec"]["containers"][0]["name"] == "vllm"
    )
    assert (await shell.kubectl("get", "pods", "--sort-by=.metadata.name", "--no-headers")).startswith("a ")
    assert json.loads(await shell.kubectl("get", "pods", "-o", "json", "--chunk-size=1"))["items"][1]["metadata"]
    missing = await shell.try_kubectl("get", "pod", "c")
    assert (missing.code, missing.err) == (1, 'Error from server (NotFound): pods "c" not found\n')


async def test_annotate_label_and_the_patches(shell: CommandLine) -> None:
    await shell.kubectl("apply", "-f", "-", stdin=text(crd()))
    await shell.kubectl("apply", "-f", "-", stdin=text(widget("w", size=1), pod("p")))
    await shell.kubectl("annotate", "widget", "w", "lab.example.com/export=ClusterSet")
    await shell.kubectl("label", "pod", "p", "x=y")
    refused = await shell.try_kubectl("label", "pod", "p", "x=z")
    assert "already has a value (y), and --overwrite is false" in refused.err
    await shell.kubectl("label", "pod", "p", "x-")
    await shell.kubectl("patch", "pod", "p", "-p", '{"metadata":{"labels":{"strategic":"1"}}}')
    await shell.kubectl("patch", "pod", "p", "--type=merge", "-p", '{"metadata":{"labels":{"merge":"1"}}}')
    operation = [{"op": "add", "path": "/metadata/labels/json", "value": "1"}]
    await shell.kubectl("patch", "pod", "p", "--type=json", "-p", json.dumps(operation))
    assert json.loads(await shell.kubectl("get", "pod", "p", "-o", "jsonpath={.metadata.labels}")) == {
        "strategic": "1",
        "merge": "1",
        "json": "1",
    }
    refused = await shell.try_kubectl("patch", "widget", "w", "--type=strategic", "-p", "{}")
    assert "application/merge-patch+json" in refused.err
    await shell.kubectl("patch", "widget", "w", "--subresource=status", "--type=merge", "-p", '{"status":{"a":1}}')
    assert await shell.kubectl("get", "widget", "w", "-o", "jsonpath={.status.a}{.spec.size}") == "11"


async def test_secrets_and_accounts(shell: CommandLine, api: KubeApi, tmp_path: Path) -> None:
    await shell.kubectl("create", "secret", "generic", "hf-secret", "--from-literal=hf_api_token=abc")
    shown = await shell.kubectl("get", "secret", "hf-secret", "-o", "jsonpath={.data.hf_api_token}")
    assert shown == "YWJj"
    made = await shell.kubectl(
        "create", "secret", "generic", "hf-secret", "--from-literal=a=b", "--dry-run=client", "-o", "yaml"
    )
    await shell.kubectl("apply", "-f", "-", stdin=made)
    assert yaml.safe_load(await shell.kubectl("get", "secret", "hf-secret", "-o", "yaml"))["data"]["a"] == "Yg=="
    await shell.kubectl("create", "namespace", "team")
    await shell.kubectl("create", "serviceaccount", "reader", "-n", "team")
    await shell.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods", "-n", "team")
    await shell.kubectl("create", "rolebinding", "r", "--role=reader", "--serviceaccount=team:reader", "-n", "team")
    token = (await shell.kubectl("create", "token", "reader", "-n", "team")).strip()
    reader = CommandLine(api.kubeconfig(tmp_path / "reader", token=token), tmp_path)
    assert await reader.kubectl("auth", "can-i", "list", "pods", "-n", "team") == "yes\n"
    refused = await reader.try_kubectl("auth", "can-i", "delete", "pods", "-n", "team")
    assert (refused.code, refused.out) == (1, "no\n")
    assert "system:serviceaccount:team:reader" in await reader.kubectl("auth", "whoami")
    assert "pods" in await reader.kubectl("auth", "can-i", "--list", "-n", "team")
    refused = await reader.try_kubectl("get", "pods")
    assert refused.err == (
        'Error from server (Forbidden): pods is forbidden: User "system:serviceaccount:team:reader" cannot list '
        'resource "pods" in API group "" in the namespace "default"\n'
    )


async def test_watch_wait_and_delete(shell: CommandLine, api: KubeApi) -> None:
    await shell.kubectl("apply", "-f", "-", stdin=text(pod("a")))
    async with shell.running_kubectl("get", "pods", "-w", "-o", "name") as out:
        assert await out.readline() == b"pod/a\n"
        await eventually(lambda: api.watches.watches("pods"))
        await shell.kubectl("apply", "-f", "-", stdin=text(pod("b")))
        assert await out.readline() == b"pod/b\n"
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    api.objects.set_status("v1", "Pod", "default", "a", ready)
    await shell.kubectl("wait", "--for=condition=Ready", "pod/a", "--timeout=10s")
    assert "timed out" in (await shell.try_kubectl("wait", "--for=condition=Ready", "pod/b", "--timeout=1s")).err
    assert await shell.kubectl("delete", "pod", "a", "b") == (
        'pod "a" deleted from default namespace\npod "b" deleted from default namespace\n'
    )
    assert "No resources found" in (await shell.try_kubectl("get", "pods")).err


async def test_what_there_is(shell: CommandLine) -> None:
    await shell.kubectl("apply", "-f", "-", stdin=text(crd()))
    listed = [line.split() for line in (await shell.kubectl("api-resources", "--no-headers")).splitlines()]
    assert ["widgets", "wd", "lab.example.com/v1", "true", "Widget"] in listed
    assert ["pods", "po", "v1", "true", "Pod"] in listed
    assert "lab.example.com/v1\n" in await shell.kubectl("api-versions")
    assert "Server Version: v1.33" in await shell.kubectl("version")


async def test_server_side_apply(shell: CommandLine) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    await shell.kubectl(*apply, stdin=text(crd()))
    out = await shell.kubectl(*apply, "--field-manager=a", stdin=text(widget("w", size=1), pod("p", labels={"x": "1"})))
    assert out == "widget.lab.example.com/w serverside-applied\npod/p serverside-applied\n"
    refused = await shell.try_kubectl(*apply, "--field-manager=b", stdin=text(widget("w", size=2)))
    assert refused.code == 1
    assert 'Apply failed with 1 conflict: conflict with "a": .spec.size' in refused.err
    await shell.kubectl(*apply, "--field-manager=b", "--force-conflicts", stdin=text(widget("w", size=2)))
    shown = yaml.safe_load(await shell.kubectl("get", "widget", "w", "-o", "yaml", "--show-managed-fields"))
    assert {entry["manager"] for entry in shown["metadata"]["managedFields"]} == {"b"}
    assert shown["spec"] == {"size": 2}


async def test_mistakes_are_told_as_a_cluster_tells_them(shell: CommandLine) -> None:
    await shell.kubectl("apply", "-f", "-", stdin=text(crd()))
    refused = await shell.try_kubectl("apply", "-f", "-", stdin=text(widget("w", colours="red")))
    assert 'strict decoding error: unknown field "spec.colours"' in refused.err
    refused = await shell.try_kubectl("apply", "-f", "-", stdin=text(widget("w", size="big")))
    assert 'Invalid value: "string": spec.size in body must be of type integer: "string"' in refused.err
    refused = await shell.try_kubectl("apply", "-f", "-", stdin=text({**widget("w"), "kind": "Gadget"}))
    assert 'no matches for kind "Gadget" in version "lab.example.com/v1"' in refused.err
    assert (await shell.try_kubectl("apply", "--dry-run=server", "-f", "-", stdin=text(widget("w", size=1)))).code == 0
    assert (await shell.try_kubectl("get", "widget", "w")).code == 1
