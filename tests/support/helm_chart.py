"""The chart manifests/chart/inferencepool, as the real helm renders it; each command line runs once per process."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube_tools import helm

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "manifests" / "chart" / "inferencepool"
VALUES = ROOT / "tests" / "chart" / "values"
VERSIONS = ("v1.0.0", "v1.1.0", "v1.5.0")
"""of the reference's chart; there is a file of values for each"""
PROVIDERS = ("none", "gke", "istio")
RELEASE, NAMESPACE = "pool", "inference"
LABELS = "inferencePool.modelServers.matchLabels.app=vllm"
"""the one value that has to be given"""
TIMEOUT_S = 30

Object = dict[str, Any]
"""a Kubernetes object; shared between tests, so nobody may change it"""


class HelmRefusal(Exception):
    """helm ended with an error: its text."""


class Rendering:
    """The objects that one command makes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = [each for each in yaml.safe_load_all(text) if each is not None]

    def __iter__(self) -> Iterator[Object]:
        return iter(self.objects)

    def of_kind(self, kind: str) -> list[Object]:
        """All of them, in the order of the text."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Object:
        """The only one of its kind."""
        (found,) = self.of_kind(kind)
        return found

    def named(self, kind: str, name: str) -> Object:
        """The one of that kind and name."""
        (found,) = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found

    @property
    def names(self) -> set[tuple[str, str]]:
        """Kind and name of everything."""
        return {(each["kind"], each["metadata"]["name"]) for each in self.objects}

    @property
    def pod(self) -> Object:
        """What the Deployment says of its pods."""
        spec: Object = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def picker(self) -> Object:
        """The picker's container."""
        (found,) = [each for each in self.pod["containers"] if each["name"] == "epp"]
        container: Object = found
        return container

    @property
    def flags(self) -> Mapping[str, str]:
        """What the picker is started with: name without dashes to text."""
        command, *arguments = self.picker["args"]
        assert command == "serve"
        flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
        assert len(flags) == len(arguments), f"a flag is given twice: {arguments}"
        return flags

    @property
    def plugin_files(self) -> Mapping[str, str]:
        """Texts of the configurations by file name."""
        name = self.one("Deployment")["metadata"]["name"]
        files: Mapping[str, str] = self.named("ConfigMap", name)["data"]
        return files


@cache
def rendered(*arguments: str, release: str = RELEASE, namespace: str = NAMESPACE) -> Rendering:
    """`helm template` with these arguments; raises HelmRefusal."""
    return Rendering(run_helm("template", release, str(CHART), "--namespace", namespace, *arguments))


def with_values(*settings: str, release: str = RELEASE) -> Rendering:
    """`helm template` with these `--set` and the labels; raises HelmRefusal."""
    return rendered(*(f"--set={setting}" for setting in (LABELS, *settings)), release=release)


def of_version(version: str, provider: str) -> Rendering:
    """With the values of a version of the reference's chart."""
    return rendered(f"--values={VALUES / version}.yaml", f"--set=provider.name={provider}")


def notes(*settings: str) -> str:
    """What helm prints after an installation."""
    given = [f"--set={setting}" for setting in (LABELS, *settings)]
    text = run_helm("install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client", *given)
    return text.partition("\nNOTES:\n")[2]


def run_helm(*arguments: str) -> str:
    """What it prints; raises HelmRefusal. It knows no cluster, and leaves nothing behind."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "PATH": os.environ["PATH"], "KUBECONFIG": os.devnull}
        done = subprocess.run(
            [helm(), *arguments], env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    if done.returncode != 0:
        raise HelmRefusal(done.stderr + done.stdout)
    return done.stdout
