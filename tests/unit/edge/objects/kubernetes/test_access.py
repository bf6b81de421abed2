"""Where credentials are looked for, in which order, and what is said when they are of no use."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from epp.core.domain.errors import InvalidInput
from epp.edge.objects.kubernetes.access import AccessSettings, find_access


def kubeconfig(path: Path, **servers: str) -> Path:
    """A context for each name; the first one is the current one."""
    names = list(servers)
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": names[0],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in names],
        "clusters": [{"name": name, "cluster": {"server": server}} for name, server in servers.items()],
        "users": [{"name": "u", "user": {"token": "abc"}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


async def host(settings: AccessSettings, **environment: str) -> str:
    configuration = await find_access(settings, environment)()
    found: str = configuration.host
    return found


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a pod, and the files that kubelet mounts."""
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


async def test_the_order(tmp_path: Path, service_account: dict[str, str]) -> None:
    given = kubeconfig(tmp_path / "given", a="https://given")
    named = kubeconfig(tmp_path / "named", a="https://named")
    home = str(kubeconfig(tmp_path / "home" / ".kube" / "config", a="https://home").parents[1])
    everything = {"KUBECONFIG": str(named), "HOME": home, **service_account}
    assert await host(AccessSettings(kubeconfig=str(given)), **everything) == "https://given"
    assert await host(AccessSettings(), **everything) == "https://named"
    assert await host(AccessSettings(), HOME=home, **service_account) == "https://10.0.0.1:443"
    assert await host(AccessSettings(), HOME=home) == "https://home"


async def test_a_context_by_name(tmp_path: Path) -> None:
    path = str(kubeconfig(tmp_path / "k", a="https://a", b="https://b"))
    assert await host(AccessSettings(kubeconfig=path)) == "https://a"
    assert await host(AccessSettings(kubeconfig=path, context="b")) == "https://b"
    home = str(kubeconfig(tmp_path / ".kube" / "config", c="https://c", d="https://d").parents[1])
    assert await host(AccessSettings(context="d"), HOME=home, KUBERNETES_SERVICE_HOST="10.0.0.1") == "https://d"
    with pytest.raises(InvalidInput, match="nowhere"):
        await host(AccessSettings(kubeconfig=path, context="nowhere"))


def test_nothing_to_go_by(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no credentials found: .*--kubeconfig.*--objects PATH"):
        find_access(AccessSettings(), {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be used as kubeconfig"),
        ("{", "cannot be used as kubeconfig"),
        ("a: b", "cannot be used as kubeconfig"),
        ("[1, 2]", "cannot be used as kubeconfig"),
    ],
)
async def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says) as raised:
        await host(AccessSettings(kubeconfig=str(path)))
    assert raised.value.source == str(path)


async def test_a_file_that_is_not_there_and_a_cluster_without_address(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be used as kubeconfig"):
        await host(AccessSettings(kubeconfig=str(tmp_path / "missing")))
    with pytest.raises(InvalidInput, match=r"\$KUBECONFIG: the cluster of the context has no server address"):
        await host(AccessSettings(), KUBECONFIG=str(kubeconfig(tmp_path / "k", a="")))


async def test_a_pod_without_its_token(tmp_path: Path, service_account: dict[str, str]) -> None:
    (tmp_path / "token").unlink()
    with pytest.raises(InvalidInput, match="is automountServiceAccountToken off"):
        await host(AccessSettings(), **service_account)
