"""Real helm against the emulated server; it keeps its releases in Secrets."""

import json
from pathlib import Path

import pytest

from tests.support.kubectl import CommandLine

TEMPLATE = """apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
data:
  size: {{ .Values.size | quote }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.size }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      containers:
        - {name: picker, image: "picker:1"}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("size: 1\n")
    (folder / "templates" / "all.yaml").write_text(TEMPLATE)
    return folder


async def test_install_upgrade_list_roll_back_and_uninstall(shell: CommandLine, chart: Path) -> None:
    assert "STATUS: deployed" in await shell.helm("install", "tiny", str(chart))
    assert await shell.kubectl("get", "configmap", "tiny-config", "-o", "jsonpath={.data.size}") == "1"
    await shell.helm("upgrade", "tiny", str(chart), "--set", "size=3")
    assert await shell.kubectl("get", "deployment", "tiny", "-o", "jsonpath={.spec.replicas}") == "3"
    (release,) = json.loads(await shell.helm("list", "-o", "json"))
    assert (release["name"], release["revision"], release["status"]) == ("tiny", "2", "deployed")
    secrets = await shell.kubectl("get", "secrets", "-l", "owner=helm,status=deployed", "-o", "name")
    assert secrets == "secret/sh.helm.release.v1.tiny.v2\n"
    await shell.helm("rollback", "tiny", "1")
    assert await shell.kubectl("get", "configmap", "tiny-config", "-o", "jsonpath={.data.size}") == "1"
    assert "revision" in await shell.helm("history", "tiny", "-o", "yaml")
    assert 'release "tiny" uninstalled' in await shell.helm("uninstall", "tiny")
    assert await shell.kubectl("get", "deployments,configmaps", "-o", "name") == "configmap/kube-root-ca.crt\n"
    assert json.loads(await shell.helm("list", "--all-namespaces", "-o", "json")) == []


async def test_a_chart_with_a_mistake_is_refused(shell: CommandLine, chart: Path) -> None:
    (chart / "templates" / "all.yaml").write_text(TEMPLATE.replace("replicas:", "replica:"))
    with pytest.raises(AssertionError, match="unknown field"):
        await shell.helm("install", "tiny", str(chart))
