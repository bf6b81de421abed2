"""All objects by what they are and where they came from, and what they make of the wanted pool. Pure.

An endpoint is one target port of a ready pod that the pool's selector matches, in the pool's namespace; objectives
and rewrites belong to the pool when their poolRef names it and its group. Source: the reference's reconcilers and
datastore.
"""

from collections.abc import Iterator, Sequence

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import InvalidInput
from epp.core.domain.model_rewrite import precedence
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.edge.objects.decode import ClusterObject, PoolObject
from epp.edge.objects.decode_objective import ObjectiveObject
from epp.edge.objects.decode_pod import PodObject
from epp.edge.objects.decode_rewrite import RewriteObject
from epp.edge.objects.findings import Notice
from epp.edge.objects.manifest import Origin
from epp.edge.objects.rewrite_oddities import rewrite_oddities

Key = tuple[str, str, str]
Attached = ObjectiveObject | RewriteObject
"""objects that name their pool"""


class WantedPool(msgspec.Struct, frozen=True):
    """--pool-name, --pool-namespace, --pool-group; what is empty matches any pool."""

    name: str = ""
    namespace: str = ""
    group: str = ""

    def matches(self, pool: InferencePool) -> bool:
        """Whether `pool` may be the wanted one."""
        wanted = (self.name, self.namespace, self.group)
        return all(
            not want or want == has for want, has in zip(wanted, (pool.name, pool.namespace, pool.group), strict=True)
        )

    def __str__(self) -> str:
        flags = (("--pool-name", self.name), ("--pool-namespace", self.namespace), ("--pool-group", self.group))
        return " ".join(f"{flag}={value}" for flag, value in flags if value)


class Assembly(msgspec.Struct, frozen=True):
    """The state that the objects make, and what is wrong or odd between them."""

    state: ObjectState
    problems: tuple[InvalidInput, ...] = ()
    notices: tuple[Notice, ...] = ()


class ObjectStore:
    """Objects by source; a source is whatever is replaced as a whole: a file, or one object of an API server."""

    def __init__(self, name: str, wanted: WantedPool) -> None:
        """`name` is what all sources together are called in messages."""
        self._name = name
        self._wanted = wanted
        self._sources: dict[str, Sequence[ClusterObject]] = {}
        self._chosen: Key | None = None

    def put(self, source: str, objects: Sequence[ClusterObject]) -> bool:
        """From now on these are the objects of `source`; whether they are others than before."""
        changed = self._sources.get(source) != objects
        self._sources[source] = objects
        return changed

    def drop(self, source: str) -> None:
        """The source is no more."""
        self._sources.pop(source, None)

    def assemble(self) -> Assembly:
        """What all objects together make.

        Of an object that is there twice, the one whose source comes first in sorted order counts.
        """
        objects, problems = self._unique()
        pools = [found for found in objects if isinstance(found, PoolObject)]
        attached = [found for found in objects if isinstance(found, Attached)]
        notices = [*self._nothing_yet(objects), *_without_pool(attached, pools)]
        wanted = [found for found in pools if self._wanted.matches(found.pool)]
        if len(wanted) != 1:
            problems.extend(self._no_single_pool(pools, wanted))
        chosen = self._choose(wanted)
        if chosen is None:
            return Assembly(ObjectState(None, ()), tuple(problems), tuple(notices))
        pool = chosen.pool
        members = [found for found in objects if isinstance(found, PodObject) and _is_member(found, pool)]
        notices.extend(_never_ready(members))
        endpoints, clashes = _endpoints(members, pool)
        mine = [found for found in attached if _points_to(found, pool)]
        rewrites = sorted(
            (found for found in mine if isinstance(found, RewriteObject)), key=lambda found: precedence(found.rewrite)
        )
        notices.extend(rewrite_oddities(rewrites))
        state = ObjectState(pool, endpoints, _objectives(mine), tuple(found.rewrite for found in rewrites))
        return Assembly(state, (*problems, *clashes), tuple(notices))

    def _choose(self, wanted: list[PoolObject]) -> PoolObject | None:
        """The only one; of several, the one that was in force before the others came."""
        chosen = wanted[0] if len(wanted) == 1 else next((pool for pool in wanted if _key(pool) == self._chosen), None)
        self._chosen = _key(chosen) if chosen else None
        return chosen

    def _unique(self) -> tuple[list[ClusterObject], list[InvalidInput]]:
        """Every object once."""
        first: dict[Key, ClusterObject] = {}
        problems = []
        for source in sorted(self._sources):
            for found in self._sources[source]:
                kind, namespace, name = key = _key(found)
                other = first.setdefault(key, found)
                if other is not found:
                    problem = (
                        f"{kind.partition('.')[0]} {namespace}/{name} is already at {other.origin}; that one counts"
                    )
                    problems.append(InvalidInput(found.origin.source, problem, line=found.origin.line))
        return list(first.values()), problems

    def _nothing_yet(self, objects: list[ClusterObject]) -> Iterator[Notice]:
        if not objects:
            yield Notice(self._name, "has no objects yet; the picker is not ready before there is an InferencePool")

    def _no_single_pool(self, pools: list[PoolObject], wanted: list[PoolObject]) -> Iterator[InvalidInput]:
        if wanted:
            remedy = "choose one with --pool-name, --pool-namespace or --pool-group"
            yield InvalidInput(self._name, f"{len(wanted)} InferencePools: {_listed(wanted)}; {remedy}")
        elif pools:
            yield InvalidInput(self._name, f"no InferencePool matches {self._wanted}; there is {_listed(pools)}")
        elif self._sources and any(self._sources.values()):
            yield InvalidInput(self._name, "has objects, but no InferencePool among them")


def _key(found: ClusterObject) -> Key:
    if isinstance(found, PoolObject):
        return f"InferencePool.{found.pool.group}", found.pool.namespace, found.pool.name
    if isinstance(found, ObjectiveObject):
        return "InferenceObjective", found.objective.namespace, found.objective.name
    if isinstance(found, RewriteObject):
        return "InferenceModelRewrite", found.rewrite.namespace, found.rewrite.name
    return "Pod", found.namespace, found.name


def _listed(pools: list[PoolObject]) -> str:
    return ", ".join(
        f"{found.pool.namespace}/{found.pool.name} of group {found.pool.group} ({found.origin})" for found in pools
    )


def _is_member(pod: PodObject, pool: InferencePool) -> bool:
    return pod.namespace == pool.namespace and pool.selects(pod.labels)


def _never_ready(members: list[PodObject]) -> Iterator[Notice]:
    """Pods that somebody wrote without a status: the API server always gives one."""
    for pod in members:
        if not pod.has_status:
            text = (
                f"Pod {pod.namespace}/{pod.name} belongs to the pool but is not picked: "
                "it has no status with a podIP and the condition Ready"
            )
            yield Notice(pod.origin.source, text, pod.origin.line)


def _endpoints(members: list[PodObject], pool: InferencePool) -> tuple[tuple[Endpoint, ...], list[InvalidInput]]:
    """In the order of pod names and ports; of two endpoints on one address the first one counts."""
    owners: dict[str, Origin] = {}
    endpoints = []
    problems = []
    for pod in sorted(members, key=lambda member: member.name):
        for rank, port in enumerate(pool.target_ports):
            if not pod.is_ready or (pod.active_ports is not None and port not in pod.active_ports):
                continue
            endpoint = Endpoint.create(
                namespace=pod.namespace,
                pod=pod.name,
                rank=rank,
                address=pod.address,
                port=port,
                labels=pod.labels,
                incarnation=pod.incarnation,
                node=pod.node,
            )
            owner = owners.setdefault(endpoint.destination, pod.origin)
            if owner is pod.origin:
                endpoints.append(endpoint)
            else:
                problem = f"Pod {pod.namespace}/{pod.name} has the address {endpoint.destination} of the pod at {owner}"
                problems.append(InvalidInput(pod.origin.source, f"{problem}; that one counts", line=pod.origin.line))
    return tuple(endpoints), problems


def _objectives(mine: list[Attached]) -> tuple[InferenceObjective, ...]:
    objectives = [found.objective for found in mine if isinstance(found, ObjectiveObject)]
    return tuple(sorted(objectives, key=lambda objective: objective.name))


def _points_to(found: Attached, pool: InferencePool) -> bool:
    named = (found.pool_kind, found.pool_group, _pool_name(found), _key(found)[1])
    return named == ("InferencePool", pool.group, pool.name, pool.namespace)


def _pool_name(found: Attached) -> str:
    return found.objective.pool_name if isinstance(found, ObjectiveObject) else found.rewrite.pool_name


def _without_pool(attached: list[Attached], pools: list[PoolObject]) -> Iterator[Notice]:
    for found in attached:
        if not any(_points_to(found, known.pool) for known in pools):
            kind, namespace, name = _key(found)
            target = f"{found.pool_kind} {namespace}/{_pool_name(found)} of group {found.pool_group}"
            text = f"{kind} {namespace}/{name} counts for nothing: there is no {target}"
            yield Notice(found.origin.source, text, found.origin.line)
