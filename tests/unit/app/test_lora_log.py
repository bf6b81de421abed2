"""What the syncer says, and what it does not say again."""

from pathlib import Path
from typing import Any

import pytest

from epp.app.lora_log import SyncLog
from epp.edge.lora.configuration import Adapter, Target, load_configuration
from epp.edge.lora.plan import Action, Step
from epp.edge.lora.reconcile import Reconciled, StepTaken
from tests.support.recorded_log import RecordedLog

FOOD = Adapter("food", "repo/food")


class Said:
    """A SyncLog, and the lines since the last look; those of every reconcile (verbose) left out."""

    def __init__(self) -> None:
        self._kept = RecordedLog()
        self.log = SyncLog(self._kept)

    def lines(self) -> list[dict[str, Any]]:
        return [line for line in self._kept.take() if line["level"] != "verbose"]


@pytest.fixture
def said() -> Said:
    return Said()


def taken(action: Action, problem: str = "", reason: str = "") -> StepTaken:
    return StepTaken(Step(action, FOOD, reason), is_served=not problem, problem=problem)


def test_changes_are_said(said: Said) -> None:
    said.log.took_step(taken(Action.LOAD))
    said.log.took_step(taken(Action.REPLACE, reason="it was loaded from 'x'"))
    said.log.took_step(taken(Action.KEEP))
    food = {"level": "info", "adapter": "food", "source": "repo/food"}
    assert said.lines() == [
        {"event": "adapter loaded", **food},
        {"event": "adapter replaced", "because": "it was loaded from 'x'", **food},
    ]


def test_a_trouble_is_said_once_and_so_is_its_end(said: Said) -> None:
    for _ in range(3):
        said.log.took_step(taken(Action.LOAD, "nothing there"))
    (line,) = said.lines()
    assert (line["event"], line["level"], line["problem"]) == ("adapter cannot be loaded", "error", "nothing there")
    said.log.took_step(taken(Action.LOAD, "no room"))
    assert [line["problem"] for line in said.lines()] == ["no room"]
    said.log.took_step(taken(Action.KEEP))
    assert [line["event"] for line in said.lines()] == ["adapter is as wished"]
    said.log.took_step(taken(Action.KEEP))
    assert said.lines() == []


def test_a_silent_server_is_said_once_and_so_is_its_return(said: Said) -> None:
    for _ in range(2):
        said.log.waiting(Target(), "HTTP status 503")
        said.log.reconciled(Reconciled(problem="HTTP status 503"))
    assert [line["event"] for line in said.lines()] == [
        "waiting for the model server",
        "the model server cannot be asked; trying again",
    ]
    said.log.reconciled(Reconciled())
    assert [line["event"] for line in said.lines()] == ["the model server answers again"]
    said.log.waiting(Target(), "HTTP status 503")
    assert [line["event"] for line in said.lines()] == ["waiting for the model server"]


def test_a_configuration_is_introduced(said: Said) -> None:
    text = (
        "vLLMLoRAConfig: {port: 8001, nmae: x, ensureExist: {models: [{id: a, source: b}, {id: c, source: d}]}, "
        "ensureNotExist: {models: [{id: c}]}}"
    )
    said.log.configured(load_configuration(text, "lora.yaml"))
    first, notice, contested = said.lines()
    assert (first["server"], first["wanted"], first["unwanted"]) == ("http://localhost:8001", 1, 0)
    assert (notice["level"], notice["notice"][:12]) == ("warning", "lora.yaml:1:")
    assert (contested["level"], contested["adapters"]) == ("warning", "c")


def test_start_and_stop(said: Said) -> None:
    said.log.started("1.0", Path("lora.yaml"), 8080)
    said.log.stopped()
    assert [line["event"] for line in said.lines()] == ["syncing", "stopped"]


def test_a_failed_step_as_text(said: Said) -> None:
    assert said.log.describe(taken(Action.LOAD, "nothing there")) == "food: adapter cannot be loaded: nothing there"
