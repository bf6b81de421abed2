"""Faults: of a plugin, of the proxy, of our own. Each costs one request, is reported once, and harms nobody else."""

import asyncio

import grpc
import numpy as np
import pytest

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.request import NO_PROMPT, InferenceRequest
from epp.core.protocol.events import BodyMode
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.request_control import NamedProducer
from epp.core.state.columns import FloatColumn
from epp.edge.extproc.codec import MalformedMessage
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.ext_proc_stream import StreamOver
from tests.support.faulty_plugins import FaultyProducer, PluginFault
from tests.support.picker import Picker, RecordedMetrics, holding, running_picker, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
CURSED = b'{"model":"cursed","prompt":"hello"}'
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
MODES = pytest.mark.parametrize("mode", [BUFFERED, DUPLEX], ids=lambda mode: mode.name)


class MoodyScorer:
    """Cannot stand one model."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        if cycle.request.model == "cursed":
            raise ZeroDivisionError("the scorer divided by its mood")
        return np.ones(len(candidates))


@MODES
async def test_a_plugin_that_raises_costs_its_request_a_500_and_nobody_else_anything(mode: BodyMode) -> None:
    async with serving(Picker(scorer=MoodyScorer())) as picker, ExtProcClient(picker.port) as envoy:
        cursed, fine = envoy.request(mode), envoy.request(mode)
        results = await asyncio.gather(
            cursed.send(CURSED, headers={"x-request-id": "r-1"}), fine.send(BODY), return_exceptions=True
        )

        [refused, forwarded] = results
        assert isinstance(refused, Refused)
        assert refused.status == 500
        assert refused.error["type"] == "server_error"
        assert "request r-1" in refused.error["message"]
        assert "mood" not in refused.error["message"], "clients learn nothing of our insides"
        assert not isinstance(forwarded, BaseException)

        [(event, request_id, error)] = picker.faults.faults
        assert (event, request_id) == ("routing failed", "r-1")
        assert isinstance(error, ZeroDivisionError)
        picker.faults.faults.clear()
        cursed.reset()
        fine.reset()
        await picker.at_rest()


@pytest.mark.parametrize("message", [b"", b"hello", b"\x12\x00\x5a\x02\x08\x07"], ids=["empty", "text", "new mode"])
async def test_a_malformed_message_ends_its_stream_and_the_server_goes_on(message: bytes) -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        stream = envoy.stream()
        await stream.send_bytes(message)
        assert await stream.status() is grpc.StatusCode.INVALID_ARGUMENT
        [(event, request_id, error)] = picker.faults.faults
        assert (event, request_id) == ("malformed ext_proc message", "")
        assert isinstance(error, MalformedMessage)
        picker.faults.faults.clear()
        forwarded = await envoy.request(BUFFERED).send(BODY)
        assert forwarded.destination in picker.destinations


async def test_a_malformed_message_in_the_middle_of_a_request_releases_it() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        await request.send(BODY, headers={"x-request-id": "r-7"})
        await request.stream.send_bytes(b"\xff\xff")
        assert await request.stream.status() is grpc.StatusCode.INVALID_ARGUMENT
        await picker.at_rest()
        assert [(event, request_id) for event, request_id, _ in picker.faults.faults] == [
            ("malformed ext_proc message", "r-7")
        ]
        picker.faults.faults.clear()
        assert len(picker.metrics.finished) == 1


class FaultyMetrics(RecordedMetrics):
    """Fails when a request was routed: a fault after the place was taken."""

    def request_routed(self, decision: Decision) -> None:
        if decision.request.model == "cursed":
            raise KeyError("no such label")
        super().request_routed(decision)


@MODES
async def test_a_fault_of_our_own_ends_the_stream_and_gives_the_place_back(mode: BodyMode) -> None:
    picker = Picker()
    picker.metrics = FaultyMetrics()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        with pytest.raises(StreamOver) as over:
            await request.send(CURSED, headers={"x-request-id": "r-2"})
        assert over.value.code is grpc.StatusCode.INTERNAL
        assert "see its log" in over.value.details
        await picker.at_rest()
        assert [(event, request_id) for event, request_id, _ in picker.faults.faults] == [
            ("unexpected error in a request", "r-2"),
            ("reservation released late", "r-2"),
        ]
        picker.faults.faults.clear()
        await envoy.request(mode).send(BODY)


@MODES
async def test_a_fault_while_a_ticket_is_granted_does_not_reach_who_grants_it(mode: BodyMode) -> None:
    picker, router = holding()
    picker.metrics = FaultyMetrics()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        sending = envoy.in_background(request.send(CURSED))
        await eventually(lambda: router.held)
        router.grant()
        with pytest.raises(StreamOver) as over:
            await sending
        assert over.value.code is grpc.StatusCode.INTERNAL
        await picker.at_rest()
        assert picker.faults.events == ["unexpected error in a request", "reservation released late"]
        picker.faults.faults.clear()


class Student:
    """A producer that learns from decisions."""

    def __init__(self) -> None:
        self.learned: list[tuple[InferenceRequest, Reservation]] = []

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        return None

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        self.learned.append((cycle.request, reservation))

    def forget_slot(self, slot: int) -> None:
        """Nothing is kept by slot."""


@MODES
async def test_what_plugins_learn_from_does_not_keep_the_body_while_the_answer_lasts(mode: BodyMode) -> None:
    student = Student()
    picker = Picker(producers=(NamedProducer("student", student),))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        await request.send(BODY)
        await eventually(lambda: student.learned)
        [(learned_from, reservation)] = student.learned
        [decision] = picker.metrics.routed
        assert bytes(learned_from.prompt.data) == b'"hello"'
        assert decision.reservation == reservation
        assert decision.lessons == [], "they hold the prompt"
        assert decision.request.prompt is NO_PROMPT
        request.reset()
        await picker.at_rest()
        assert len(student.learned) == 1


async def test_a_plugin_that_fails_to_learn_keeps_no_other_from_it() -> None:
    broken, student = FaultyProducer(learns=True), Student()
    picker = Picker(producers=(NamedProducer("broken", broken), NamedProducer("student", student)))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        await request.send(CURSED, headers={"x-request-id": "r-3"})
        await eventually(lambda: student.learned)
        [(event, request_id, error)] = picker.faults.faults
        assert (event, request_id) == ("FaultyProducer failed to learn", "r-3")
        assert isinstance(error, PluginFault)
        picker.faults.faults.clear()
        request.reset()
        await picker.at_rest()
