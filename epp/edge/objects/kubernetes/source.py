"""Objects of an API server: the wanted pool, its pods, its objectives and rewrites, kept up to date by watches.

The same objects mean the same as in a directory. An object with a mistake is reported and counts as it was when it was
last good. What changes in quick succession is put together, so that a thousand changes cost some ten states.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from epp.core.domain.errors import InvalidInput
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import Clock, ObjectSink, ObjectState
from epp.edge.objects.decode import PoolObject, decode_manifest
from epp.edge.objects.findings import Findings, Notice
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.events import EventRecorder
from epp.edge.objects.kubernetes.reflector import SILENCE_S, Condition, Named, Reflector, Sync
from epp.edge.objects.kubernetes.resources import LLM_D_GROUP, Resource, attached, pods, pools
from epp.edge.objects.manifest import Origin, RawManifest
from epp.edge.objects.object_store import ObjectStore, WantedPool

SETTLE_S = 0.1
"""the shortest time between two states"""


class KubernetesObjects:
    """Tells `sink` the state of the wanted pool whenever it changes, as `run` learns of it."""

    def __init__(
        self,
        api: ApiServer,
        sink: ObjectSink,
        *,
        wanted: WantedPool,
        fixed_pool: InferencePool | None = None,
        pod_selector: str = "",
        recorder: EventRecorder | None = None,
        on_problem: Callable[[InvalidInput], None],
        on_notice: Callable[[Notice], None],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float],
        silence_s: float = SILENCE_S,
    ) -> None:
        """`wanted` has all three parts. With `fixed_pool` nothing but pods is read: those that `pod_selector` selects.

        `recorder` tells the authors of objects with mistakes. A watch is begun anew after `silence_s` without a word.
        """
        self._api = api
        self._sink = sink
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._silence_s = silence_s
        self._recorder = recorder
        self._namespace = wanted.namespace
        self._fixed_selector = pod_selector
        self._store = ObjectStore(f"namespace {wanted.namespace} of the API server", wanted)
        self._findings = Findings(on_problem, on_notice)
        self._names: dict[str, set[str]] = {}
        self._state = ObjectState(None, ())
        self._changed = asyncio.Event()
        self._stale_since: float | None = None
        self._outage = ""
        """why the server does not answer, in the words that were said first"""
        self._conditions: dict[Resource, Condition] = {}
        self._pods: Resource | None = None
        self._pods_changed = asyncio.Event()
        if fixed_pool is None:
            resources: tuple[Resource, ...] = (
                pools(wanted.group, wanted.namespace, wanted.name),
                *attached(wanted.namespace),
            )
        else:
            resources = ()
            self._store.put("flags", (PoolObject(fixed_pool, Origin("--endpoint-selector")),))
            self._changed.set()
        self._reflectors = tuple(self._reflector(resource) for resource in resources)

    @property
    def problems(self) -> Sequence[InvalidInput]:
        """Everything that is wrong with the objects, or with the way to them, now."""
        return tuple({str(problem): problem for problem in self._findings.problems}.values())

    @property
    def stale_s(self) -> float:
        """For how long something is not up to date any more, because the API server cannot be asked; 0 if all is."""
        return 0.0 if self._stale_since is None else self._clock() - self._stale_since

    @property
    def conditions(self) -> Mapping[Resource, Condition]:
        """How far each part of the picture can be trusted."""
        return self._conditions

    def poll_once(self) -> None:
        """Nothing: an API server is not waited for. It may be down; the picker comes up not ready, and says so."""

    async def run(self) -> None:
        """Follows changes until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            group.create_task(self._run_pods())
            group.create_task(self._publish_changes())

    def listed(self, resource: Resource, objects: Sequence[Named]) -> None:
        """These are all objects now (Follower)."""
        names = {found.meta.name for found in objects}
        for name in self._names.get(resource.title, set()) - names:
            self.removed(resource, name)
        for found in objects:
            self.stored(resource, found)

    def stored(self, resource: Resource, found: Named) -> None:
        """One is new or another one than before (Follower)."""
        source = resource.name_of(found.meta.name)
        self._names.setdefault(resource.title, set()).add(found.meta.name)
        try:
            decoded = decode_manifest(
                RawManifest(found.raw, source, resource.namespace), resource.kind, resource.api_version
            )
        except InvalidInput as problem:
            self._findings.replace(source, (problem,))
            if self._recorder is not None:
                self._recorder.warn(resource, found.meta, str(problem))
            return
        if decoded.notices or self._findings.holds(source):
            self._findings.replace(source, (), decoded.notices)
        if self._store.put(_key(resource, found.meta.name), decoded.objects):
            self._changed.set()

    def removed(self, resource: Resource, name: str) -> None:
        """One has gone (Follower)."""
        source = resource.name_of(name)
        self._names.get(resource.title, set()).discard(name)
        self._findings.forget(source)
        self._store.drop(_key(resource, name))
        self._changed.set()

    def condition_changed(self, resource: Resource, condition: Condition) -> None:
        """How far the picture can be trusted from now on (Follower)."""
        self._conditions[resource] = condition
        text = self._outage_of(condition) or condition.problem
        self._findings.replace(f"sync {resource.title}", (InvalidInput("API server", text),) if text else ())
        is_stale = any(known.sync is Sync.STALE for known in self._conditions.values())
        if not is_stale:
            self._stale_since = None
        elif self._stale_since is None:
            self._stale_since = self._clock()
        self._changed.set()

    def _outage_of(self, condition: Condition) -> str:
        """What is said of a server that does not answer: the same words for every resource, however each finds out."""
        if not any(known.is_unreachable for known in self._conditions.values()):
            self._outage = ""
        elif not self._outage:
            self._outage = condition.problem
        return self._outage if condition.is_unreachable else ""

    def _reflector(self, resource: Resource) -> Reflector:
        return Reflector(
            self._api,
            resource,
            self,
            clock=self._clock,
            sleep=self._sleep,
            random=self._random,
            silence_s=self._silence_s,
        )

    async def _run_pods(self) -> None:
        """Watches the pods of the pool as it is; another selector is another watch, from a list on."""
        while True:
            self._pods_changed.clear()
            if self._pods is None:
                await self._pods_changed.wait()
                continue
            watching = asyncio.ensure_future(self._reflector(self._pods).run())
            changed = asyncio.ensure_future(self._pods_changed.wait())
            try:
                done, _ = await asyncio.wait((watching, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                watching.cancel()
                changed.cancel()
            if watching in done:
                watching.result()
            await asyncio.wait((watching,))

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._publish()
            await self._sleep(SETTLE_S)

    def _publish(self) -> None:
        assembly = self._store.assemble()
        self._want_pods(assembly.state.pool)
        if not self._is_complete(assembly.state.pool):
            return
        self._findings.replace("assembly", assembly.problems, assembly.notices)
        if assembly.state != self._state:
            self._state = assembly.state
            self._sink.objects_changed(assembly.state)

    def _want_pods(self, pool: InferencePool | None) -> None:
        if pool is None:
            return  # a pool that comes back finds its pods as they are
        labels = ",".join(f"{key}={value}" for key, value in sorted(pool.match_labels.items()))
        wanted = pods(self._namespace, self._fixed_selector or labels)
        if wanted != self._pods:
            if self._pods is not None:
                self._conditions.pop(self._pods, None)
            self._pods = wanted
            self._pods_changed.set()

    def _is_complete(self, pool: InferencePool | None) -> bool:
        """Whether everything that belongs to the state was read once; half a picture would send requests astray.

        Without a pool there is no picture, and no reason to wait for the rest of it.
        """
        needed = [reflector.resource for reflector in self._reflectors[: None if pool else 1]]
        if pool is not None and self._pods is not None:
            needed.append(self._pods)
        return all(self._conditions.get(resource, _UNREAD).sync is not Sync.WAITING for resource in needed)


def _key(resource: Resource, name: str) -> str:
    """Of two objects with one name the store takes the one whose key comes first: that of the newer group."""
    return f"{0 if resource.group == LLM_D_GROUP else 1} {resource.name_of(name)}"


_UNREAD = Condition(Sync.WAITING)
