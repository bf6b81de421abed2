"""Routing of a process: the window of bursts is there when the policy has a use for it, and works by itself."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from epp.app.options import parse_flags
from epp.app.routing import Routing
from epp.core.config.load import load_config
from epp.core.config.settings import PickerConfig
from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason, Refusal
from epp.core.domain.ports import ObjectState
from epp.core.flow.ticket import Answer, Ticket
from epp.core.routing.bursts import BurstRouter
from epp.core.routing.queueing import QueueingRouter
from epp.core.routing.router import Router
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.logs import get_logger
from epp.edge.observe.repeated import RepeatedProblems
from tests.support.eventually import eventually
from tests.support.routed_requests import endpoint
from tests.support.small_pool import POOL, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
PLAIN = HEAD + "plugins:\n- type: queue-scorer\n"
BURSTS = """plugins:
- type: burst-prefix-cache-producer
  parameters: {windowDurationMs: MS}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: burst-prefix-cache-producer}
"""
OPTIONS = parse_flags({"objects": "/nowhere"}, {})


def config(text: str) -> PickerConfig:
    return load_config(text, "epp.yaml", CATALOGUE)


def bursts(*, window_ms: int = 20, gates: str = "") -> PickerConfig:
    return config(HEAD + gates + BURSTS.replace("MS", str(window_ms)))


class Process:
    """Routing of a pool with two endpoints."""

    def __init__(self, settings: PickerConfig) -> None:
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, time.monotonic)
        self.roster.objects_changed(ObjectState(POOL, (endpoint(0), endpoint(1))))
        self.policy = build_policy(settings)
        self.scheduler = Scheduler(self.policy, self.ledger, Random(1), time.monotonic)
        self.routing = Routing(
            OPTIONS,
            settings,
            self.roster,
            self.scheduler,
            clock=time.monotonic,
            problems=RepeatedProblems(get_logger("test"), time.monotonic),
            series=FlowSeries(),
        )
        self.answers: list[Answer] = []

    def take_over(self, settings: PickerConfig) -> None:
        self.policy = build_policy(settings, former=self.policy)
        self.scheduler.swap(self.policy)
        self.routing.take_over(OPTIONS, settings)

    def ask(self) -> None:
        answer = self.routing.port.decide(text_request("x" * 256))
        if isinstance(answer, Ticket):
            answer.on_answer(self.answers.append)
        else:
            self.answers.append(answer)

    @property
    def picked(self) -> list[str]:
        return [answer.endpoint.pod for answer in self.answers if isinstance(answer, Decision)]


@contextmanager
def process(settings: PickerConfig) -> Iterator[Process]:
    running = Process(settings)
    yield running
    running.routing.stop()


@pytest.mark.asyncio
async def test_without_the_plugin_there_is_no_window() -> None:
    with process(config(PLAIN)) as plain:
        assert isinstance(plain.routing.port, Router)
    with process(config(HEAD + "featureGates: [flowControl]\n" + PLAIN.removeprefix(HEAD))) as queueing:
        assert isinstance(queueing.routing.port, QueueingRouter)
    with process(config(PLAIN + "- type: burst-prefix-cache-producer\n")) as unused:
        assert isinstance(unused.routing.port, Router)


@pytest.mark.asyncio
@pytest.mark.parametrize("gates", ["", "featureGates: [flowControl]\n"], ids=["alone", "before the queues"])
async def test_a_window_closes_by_itself(gates: str) -> None:
    with process(bursts(gates=gates)) as running:
        for _ in range(6):
            running.ask()
        assert not running.answers
        await eventually(lambda: len(running.answers) == 6, what="the window closes")
        assert len(set(running.picked)) == 1
        assert running.ledger.open_count == 6


@pytest.mark.asyncio
async def test_a_configuration_brings_the_window_and_takes_it_away() -> None:
    with process(config(PLAIN)) as running:
        before = running.routing.port
        running.take_over(bursts(window_ms=10_000))
        assert isinstance(running.routing.port, BurstRouter)
        running.ask()
        await asyncio.sleep(0)
        assert not running.answers
        running.take_over(config(PLAIN))
        assert running.routing.port is before
        await eventually(lambda: bool(running.answers), what="who waited is let go")
        assert len(running.picked) == 1


@pytest.mark.asyncio
async def test_a_window_stays_open_when_nothing_of_it_changes() -> None:
    with process(bursts(window_ms=10_000)) as running:
        running.ask()
        running.take_over(bursts(window_ms=10_000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not running.answers


@pytest.mark.asyncio
async def test_drain_refuses_who_waits_in_the_window() -> None:
    with process(bursts(window_ms=10_000)) as running:
        running.ask()
        running.routing.drain()
        [refusal] = running.answers
        assert isinstance(refusal, Refusal)
        assert refusal.reason is DroppedReason.SHUTTING_DOWN
