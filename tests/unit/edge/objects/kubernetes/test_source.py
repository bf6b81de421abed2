"""What a source says of its reflectors' troubles, and when it holds a state back. All else is in tests/kube."""

import asyncio

import msgspec

from epp.core.domain.pool import POOL_GROUP
from epp.core.domain.ports import ObjectState
from epp.edge.objects.kubernetes.messages import ObjectMeta
from epp.edge.objects.kubernetes.reflector import Condition, Named, Sync
from epp.edge.objects.kubernetes.resources import Resource, attached, pods, pools
from epp.edge.objects.kubernetes.source import KubernetesObjects
from epp.edge.objects.object_store import WantedPool
from tests.support.kube_objects import NAMESPACE, Json, Sink, pod, pool
from tests.support.scripted_api import ScriptedApi

POOL = pools(POOL_GROUP, NAMESPACE, "pool")
PODS = pods(NAMESPACE, "app=vllm")
OTHERS = attached(NAMESPACE)
SYNCED, MISSING = Condition(Sync.SYNCED), Condition(Sync.MISSING)


class Told:
    """A source to which the test is every reflector."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.sink = Sink()
        self.source = KubernetesObjects(
            ScriptedApi().as_server(),
            self.sink,
            wanted=WantedPool("pool", NAMESPACE, POOL_GROUP),
            on_problem=lambda problem: self.said.append(str(problem)),
            on_notice=print,
            clock=lambda: self.now,
            sleep=asyncio.sleep,
            random=lambda: 0.5,
        )

    def tell(self, resource: Resource, *objects: Json) -> None:
        self.source.listed(resource, [named(each) for each in objects])

    def publish(self) -> list[ObjectState]:
        self.source._publish()
        return self.sink.states

    @property
    def problems(self) -> list[str]:
        return [str(problem) for problem in self.source.problems]


def named(value: Json) -> Named:
    raw = msgspec.Raw(msgspec.json.encode(value))
    return Named(ObjectMeta(value["metadata"]["name"], NAMESPACE), raw)


def unreachable(words: str, sync: Sync = Sync.STALE) -> Condition:
    return Condition(sync, f"https://api.test cannot be asked: {words}", is_unreachable=True)


def test_a_server_that_does_not_answer_is_said_once_in_the_words_that_came_first() -> None:
    told = Told()
    for resource in (POOL, PODS):
        told.source.condition_changed(resource, SYNCED)
    told.source.condition_changed(POOL, unreachable("refused"))
    told.source.condition_changed(PODS, unreachable("reset by peer"))
    told.source.condition_changed(POOL, unreachable("no answer in time"))
    assert told.said == told.problems == ["API server: https://api.test cannot be asked: refused"]
    for resource in (POOL, PODS):
        told.source.condition_changed(resource, SYNCED)
    assert told.problems == []
    told.source.condition_changed(PODS, unreachable("reset by peer"))
    assert told.said[1:] == ["API server: https://api.test cannot be asked: reset by peer"], "another outage"


def test_what_each_resource_has_of_its_own_is_said_of_each() -> None:
    told = Told()
    told.source.condition_changed(POOL, unreachable("refused", Sync.WAITING))
    told.source.condition_changed(PODS, Condition(Sync.FORBIDDEN, "no right to list pods"))
    assert told.problems == [
        "API server: https://api.test cannot be asked: refused",
        "API server: no right to list pods",
    ]


def test_how_old_the_picture_is() -> None:
    told = Told()
    told.source.condition_changed(POOL, SYNCED)
    told.source.condition_changed(PODS, SYNCED)
    assert told.source.stale_s == 0.0
    told.source.condition_changed(PODS, unreachable("refused"))
    told.now += 5.0
    told.source.condition_changed(POOL, unreachable("refused"))
    told.now += 2.0
    assert told.source.stale_s == 7.0, "as old as its oldest part"
    told.source.condition_changed(PODS, SYNCED)
    assert told.source.stale_s == 7.0
    told.source.condition_changed(POOL, SYNCED)
    assert told.source.stale_s == 0.0


async def test_nothing_is_told_before_all_of_it_was_read() -> None:
    told = Told()
    told.tell(POOL, pool())
    told.source.condition_changed(POOL, SYNCED)
    assert told.publish() == [], "the pods are wanted only now"
    told.tell(PODS, pod("a", "10.0.0.1"))
    told.source.condition_changed(PODS, SYNCED)
    assert told.publish() == []
    for resource in OTHERS:
        told.source.condition_changed(resource, MISSING)
    (state,) = told.publish()
    assert [endpoint.destination for endpoint in state.endpoints] == ["10.0.0.1:8000"]
