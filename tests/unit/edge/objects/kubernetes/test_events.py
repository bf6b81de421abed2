"""Events: one per object and reason, in the words of the log, and nobody suffers when they are not taken."""

import asyncio
import datetime as dt

from epp.edge.objects.kubernetes.errors import Unreachable
from epp.edge.objects.kubernetes.events import MOST_WAITING, EventRecorder
from epp.edge.objects.kubernetes.messages import ObjectMeta
from epp.edge.objects.kubernetes.resources import attached
from tests.support.recorded_api import Answer, RecordedApi

OBJECTIVES = attached("default")[2]
META = ObjectMeta("food-review", "default", "uid-1", "42")


class Recorded:
    def __init__(self, answer: Answer | None = None) -> None:
        self.answer: Answer = answer or {}
        self.api = RecordedApi(lambda *_: self.answer)
        self.problems: list[str] = []
        self.recorder = EventRecorder(
            self.api.as_server(),
            instance="epp-0",
            now=lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            on_problem=self.problems.append,
        )

    async def sent(self) -> list[dict[str, object]]:
        """Everything that was sent when nothing waits any more."""
        running = asyncio.ensure_future(self.recorder.run())
        while self.recorder._waiting.qsize():  # noqa: ASYNC110  the script's turns are the clock
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait((running,))
        return [body for _, _, body in self.api.asked]


async def test_an_event_names_object_reason_and_reporter() -> None:
    recorded = Recorded()
    recorded.recorder.warn(OBJECTIVES, META, "spec.priority: expected int, got str")
    (event,) = await recorded.sent()
    assert event == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "food-review.", "namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "endpoint-picker",
        "reportingInstance": "epp-0",
        "action": "Read",
        "reason": "InvalidObject",
        "type": "Warning",
        "note": "spec.priority: expected int, got str",
        "regarding": {
            "apiVersion": "inference.networking.x-k8s.io/v1alpha2",
            "kind": "InferenceObjective",
            "namespace": "default",
            "name": "food-review",
            "uid": "uid-1",
            "resourceVersion": "42",
        },
    }
    assert recorded.api.asked[0][:2] == ("POST", "/apis/events.k8s.io/v1/namespaces/default/events")


async def test_the_same_reason_is_not_said_again() -> None:
    recorded = Recorded()
    for text in ("one", "one", "two", "two"):
        recorded.recorder.warn(OBJECTIVES, META, text)
    assert [event["note"] for event in await recorded.sent()] == ["one", "two"]


async def test_long_words_are_cut_and_many_events_bounded() -> None:
    recorded = Recorded()
    for number in range(MOST_WAITING + 50):
        recorded.recorder.warn(OBJECTIVES, META, f"{number} " + "x" * 5000)
    events = await recorded.sent()
    assert len(events) == MOST_WAITING
    assert all(len(str(event["note"])) == 1024 for event in events)


async def test_a_server_that_takes_no_events_is_said_once() -> None:
    recorded = Recorded(Unreachable("https://api.test cannot be asked"))
    for text in ("one", "two"):
        recorded.recorder.warn(OBJECTIVES, META, text)
    assert len(await recorded.sent()) == 2
    assert recorded.problems == ["https://api.test cannot be asked"]
