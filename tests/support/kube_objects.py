"""The picker's objects in an emulated API server, and what its source makes of them.

async with followed(api) as cluster:
    api.objects.create(pool())
    await cluster.until(lambda state: state.pool is not None)
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import random
from typing import Any

import yaml

from epp.core.domain.errors import InvalidInput
from epp.core.domain.pool import POOL_GROUP, InferencePool
from epp.core.domain.ports import ObjectState
from epp.edge.objects.findings import Notice
from epp.edge.objects.kubernetes.access import AccessSettings, find_access
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.events import EventRecorder
from epp.edge.objects.kubernetes.reflector import SILENCE_S
from epp.edge.objects.kubernetes.source import KubernetesObjects
from epp.edge.objects.object_store import WantedPool
from epp.lab.kube_api.server import KubeApi
from tests.support.eventually import eventually

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"
NAMESPACE = "default"
ALPHA_GROUP = "inference.networking.x-k8s.io"
Json = dict[str, Any]


def crd(group: str, plural: str) -> Json:
    """A CRD of manifests/crds."""
    found: Json = yaml.safe_load((CRDS / f"{group}_{plural}.yaml").read_text())
    return found


def install_crds(api: KubeApi, *groups: str) -> None:
    """Those of the groups; without any, of the pool and the reference's objectives and rewrites."""
    for group in groups or (POOL_GROUP, ALPHA_GROUP):
        for path in sorted(CRDS.glob(f"{group}_*.yaml")):
            api.objects.create(yaml.safe_load(path.read_text()))


def loosen(api: KubeApi, group: str, plural: str) -> None:
    """Has the API server take anything for an object of that CRD, as one of another version may."""
    loose = crd(group, plural)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    api.objects.apply(loose)


def pool(name: str = "pool", *, app: str = "vllm", ports: tuple[int, ...] = (8000,)) -> Json:
    return {
        "apiVersion": f"{POOL_GROUP}/v1",
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "targetPorts": [{"number": port} for port in ports],
            "endpointPickerRef": {"name": "epp", "port": {"number": 9002}},
        },
    }


def pod(name: str, ip: str, *, app: str = "vllm", ready: str = "True") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "vllm", "image": "vllm:1"}]},
        "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }


def objective(name: str, priority: int, *, group: str = ALPHA_GROUP, pool_name: str = "pool") -> Json:
    return {
        "apiVersion": f"{group}/v1alpha2",
        "kind": "InferenceObjective",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"priority": priority, "poolRef": {"name": pool_name, "group": POOL_GROUP}},
    }


def rewrite(name: str, model: str, target: str) -> Json:
    return {
        "apiVersion": f"{ALPHA_GROUP}/v1alpha2",
        "kind": "InferenceModelRewrite",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "poolRef": {"name": "pool"},
            "rules": [{"matches": [{"model": {"value": model}}], "targets": [{"modelRewrite": target}]}],
        },
    }


def set_ready(api: KubeApi, name: str, ready: str) -> None:
    conditions = [{"type": "Ready", "status": ready}]
    api.objects.set_status("v1", "Pod", NAMESPACE, name, {"conditions": conditions})


class Followed:
    """What a source told, and the source itself."""

    def __init__(self, source: KubernetesObjects, states: list[ObjectState], notices: list[Notice]) -> None:
        self.source = source
        self.states = states
        self.notices = notices

    @property
    def state(self) -> ObjectState:
        """The last one told."""
        return self.states[-1] if self.states else ObjectState(None, ())

    @property
    def destinations(self) -> list[str]:
        return sorted(endpoint.destination for endpoint in self.state.endpoints)

    @property
    def problems(self) -> list[str]:
        return [str(problem) for problem in self.source.problems]

    async def until(self, condition: Callable[[ObjectState], object], *, within_s: float = 10.0) -> ObjectState:
        """The first state seen for which the condition holds."""
        await eventually(lambda: condition(self.state), within_s=within_s, what=f"{self.state} {self.problems}")
        return self.state

    async def until_problem(self, text: str) -> None:
        await eventually(lambda: any(text in problem for problem in self.problems), what=f"{text} in {self.problems}")

    async def until_no_problem(self) -> None:
        await eventually(lambda: not self.problems, within_s=15.0, what=str(self.problems))


class Sink:
    def __init__(self) -> None:
        self.states: list[ObjectState] = []

    def objects_changed(self, state: ObjectState) -> None:
        self.states.append(state)


@asynccontextmanager
async def followed(
    api: KubeApi,
    folder: Path,
    *,
    token: str | None = None,
    token_file: Path | None = None,
    fixed_pool: InferencePool | None = None,
    pod_selector: str = "",
    name: str = "pool",
    silence_s: float = SILENCE_S,
) -> AsyncIterator[Followed]:
    """A source that follows the pool of that name, as the administrator unless a token is given, or a file with one."""
    path = api.kubeconfig(folder / "kubeconfig", token=token)
    if token_file is not None:
        content = yaml.safe_load(path.read_text())
        content["users"][0]["user"] = {"tokenFile": str(token_file)}
        path.write_text(yaml.safe_dump(content))
    server = ApiServer(find_access(AccessSettings(kubeconfig=str(path)), {}), time.monotonic)
    sink, notices, event_problems = Sink(), list[Notice](), list[str]()
    recorder = EventRecorder(server, instance="epp-0", now=_now, on_problem=event_problems.append)
    source = KubernetesObjects(
        server,
        sink,
        wanted=WantedPool(name, NAMESPACE, POOL_GROUP),
        fixed_pool=fixed_pool,
        pod_selector=pod_selector,
        recorder=recorder,
        on_problem=_ignore,
        on_notice=notices.append,
        clock=time.monotonic,
        random=random,
        silence_s=silence_s,
    )
    running = [asyncio.ensure_future(each.run()) for each in (source, recorder)]
    try:
        yield Followed(source, sink.states, notices)
    finally:
        for task in running:
            task.cancel()
        done, _ = await asyncio.wait(running)
        await server.close()
        for error in _errors(done):
            raise error


def _errors(done: Iterable["asyncio.Future[None]"]) -> Iterator[BaseException]:
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            yield error


def _ignore(_: InvalidInput) -> None:
    """`Followed.problems` has those of now."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
