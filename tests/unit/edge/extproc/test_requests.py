"""Whole requests through a picker on loopback, spoken to as Envoy does in each body mode."""

import pytest

from epp.core.domain.decision import Decision
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.protocol.events import BodyMode
from epp.core.protocol.request_side import ConversationSettings
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import Picker, running_picker, serving
from tests.unit.edge.extproc.envoy_talk import Router

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
EVERY_MODE = [BUFFERED, BodyMode.BUFFERED_PARTIAL, DUPLEX, BodyMode.STREAMED, BodyMode.NONE]
by_mode = pytest.mark.parametrize("mode", EVERY_MODE, ids=lambda mode: mode.name)


@by_mode
@pytest.mark.parametrize("trailers", [False, True], ids=["", "with trailers"])
async def test_a_request_and_its_answer(mode: BodyMode, trailers: bool) -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        forwarded = await request.send(BODY[:9], BODY[9:], trailers=trailers, headers={"x-request-id": "r-1"})

        assert forwarded.destination in picker.destinations
        assert forwarded.body == BODY
        assert forwarded.clears_route_cache
        assert picker.in_flight() == {forwarded.destination: 1}

        await request.answered(served=forwarded.destination)
        assert picker.in_flight() == {forwarded.destination: 1}
        request.reset()
        await picker.at_rest()

        [(decision, report)] = picker.metrics.finished
        assert decision.request.request_id == "r-1"
        assert decision.request.model == ("" if mode in {BodyMode.STREAMED, BodyMode.NONE} else "llama")
        assert (report.outcome, report.status, report.served) == (Outcome.UNKNOWN, 200, forwarded.destination)
        assert report.request_bytes == decision.request.body_bytes
        assert picker.metrics.started[0].request_id == "r-1"
        assert len(picker.metrics.routed) == 1


@by_mode
async def test_a_get(mode: BodyMode) -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        forwarded = await request.send(method="GET", path="/v1/models")
        assert forwarded.destination in picker.destinations
        assert forwarded.headers["x-request-id"] == "generated-1"
        await request.answered(end_of_stream=True)
        await request.stream.half_close()
        await picker.at_rest()
        assert picker.metrics.reports[0].outcome is Outcome.COMPLETE


@pytest.mark.parametrize("response_mode", list(BodyMode)[:5], ids=lambda mode: mode.name)
@pytest.mark.parametrize("trailers", [False, True], ids=["", "with trailers"])
async def test_a_response_in_every_mode(response_mode: BodyMode, trailers: bool) -> None:
    answer = b'data: {"choices":[]}\n\n' * 9000 + b'data: {"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\n'
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX, response_mode)
        forwarded = await request.send(BODY)
        await request.answered(headers={"content-type": "text/event-stream"}, served=forwarded.destination)
        if response_mode is not BodyMode.NONE:
            chunks = [answer] if response_mode is BUFFERED else [answer[:70], answer[70:-20], answer[-20:]]
            assert await request.response_body(*chunks, end_of_stream=not trailers) == answer
        if trailers:
            await request.response_trailers()
        await request.stream.half_close()
        await picker.at_rest()

        [report] = picker.metrics.reports
        seen = response_mode is not BodyMode.NONE
        assert report.outcome is (Outcome.COMPLETE if seen or trailers else Outcome.UNKNOWN)
        assert report.usage == (TokenUsage(3, 5) if seen else None)
        assert report.response_bytes == (len(answer) if seen else None)
        assert (report.first_token_s is not None) is seen
        assert report.duration_s >= (report.first_token_s or 0.0)


async def test_routing_is_told_of_a_first_token_that_is_seen() -> None:
    told: list[Decision] = []

    class Overheard(Router):
        def first_token(self, decision: Decision) -> None:
            told.append(decision)

    picker = Picker()
    picker.routing = Overheard(picker)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX, DUPLEX)
        forwarded = await request.send(BODY)
        await request.answered(headers={"content-type": "text/event-stream"}, served=forwarded.destination)
        assert told == [], "headers come before the first token"
        await request.response_body(b"data: {}\n\n", b"data: [DONE]\n\n")
        await request.stream.half_close()
        await picker.at_rest()
    assert told == picker.metrics.routed


async def test_a_long_body_through_full_duplex_stays_the_same_to_the_byte() -> None:
    body = b'{"model":"m","prompt":"%s"}' % b" ".join(b"%d" % number for number in range(700_000))
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        forwarded = await request.send(*(body[at : at + 100_000] for at in range(0, len(body), 100_000)))
        assert forwarded.body == body
        request.reset()
        await picker.at_rest()


async def test_a_sample_turns_the_response_body_on() -> None:
    picker = Picker()
    picker.wants_sample = lambda: True
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        answer = await request.answered(headers={"content-type": "text/event-stream"}, served=forwarded.destination)
        assert answer.mode_override.response_body_mode == BodyMode.STREAMED.value
        await request.response_body(b'data: {"usage":{"prompt_tokens":3}}\n\n')
        await request.stream.half_close()
        await picker.at_rest()
        assert picker.metrics.reports[0].usage == TokenUsage(3)


async def test_priority_is_cut_and_counts() -> None:
    objectives = (InferenceObjective("default", "gold", "pool", 9),)
    async with serving(Picker(objectives=objectives)) as picker, ExtProcClient(picker.port) as envoy:
        claimed = envoy.request(BUFFERED)
        forwarded = await claimed.send(b'{"model":"llama","priority":7,"prompt":"hello"}')
        assert forwarded.body == BODY
        assert forwarded.headers["content-length"] == str(len(BODY))
        named = envoy.request(BUFFERED)
        forwarded = await named.send(BODY, headers={"x-gateway-inference-objective": "gold"})
        assert forwarded.removed == ("x-gateway-inference-objective",)
        assert [decision.request.priority for decision in picker.metrics.routed] == [7, 9]


async def test_the_reservation_follows_who_really_served() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        other = next(name for name in picker.destinations if name != forwarded.destination)
        assert picker.in_flight() == {forwarded.destination: 1}
        await request.answered(served=other)
        assert picker.in_flight() == {other: 1}
        request.reset()
        await picker.at_rest()
        assert picker.metrics.reports[0].served == other


async def test_a_response_of_a_stranger_leaves_the_reservation_where_it_is() -> None:
    async with running_picker(1) as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        await request.answered(served="192.0.2.1:1")
        assert picker.in_flight() == {forwarded.destination: 1}
        request.reset()
        await picker.at_rest()


async def test_a_subset_is_kept_to_and_an_empty_one_is_refused() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        for mode in EVERY_MODE:
            forwarded = await envoy.request(mode).send(BODY, subset=["10.0.0.2"])
            assert forwarded.destination == "10.0.0.2:8000"
        with pytest.raises(Refused) as refused:
            await envoy.request(BUFFERED).send(BODY, subset=["10.9.9.9"], headers={"x-request-id": "r-9"})
        assert refused.value.status == 503
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == "rejected-no-endpoints"
        assert "failed to find endpoint candidates for serving the request" in refused.value.error["message"]
        assert "request r-9" in refused.value.error["message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/v1/completions", b"hello", 400, None),
        ("/v1/completions", b'{"prompt":"x"}', 400, "model"),
        ("/v1/chat/completions", b'{"model":"m"}', 400, "messages"),
        ("/v1/embeddings", BODY, 400, "input"),
        ("/v1/completions", b'{"model":"m","prompt":"%s"}' % (b"x" * 1000), 413, None),
    ],
)
@pytest.mark.parametrize("mode", [BUFFERED, DUPLEX], ids=lambda mode: mode.name)
async def test_refusals_reach_the_client_as_openai_errors(
    mode: BodyMode, path: str, body: bytes, status: int, param: str | None
) -> None:
    async with (
        running_picker(settings=ConversationSettings(max_body_bytes=500)) as picker,
        ExtProcClient(picker.port) as envoy,
    ):
        request = envoy.request(mode)
        with pytest.raises(Refused) as refused:
            await request.send(body, path=path, headers={"x-request-id": "r-1"})
        assert refused.value.status == status
        assert refused.value.headers["content-type"] == "application/json"
        assert refused.value.headers["x-request-id"] == "r-1"
        error = refused.value.error
        assert error["message"].startswith("inference error: ")
        assert (error["code"], error["param"]) == (status, param)
        request.reset()
        await picker.at_rest()
        assert picker.metrics.routed == []
        assert len(picker.metrics.refused) == 1


async def test_a_pool_without_endpoints() -> None:
    async with running_picker(0) as picker, ExtProcClient(picker.port) as envoy:
        with pytest.raises(Refused) as refused:
            await envoy.request(BUFFERED).send(BODY)
        assert refused.value.status == 503
        assert refused.value.headers["retry-after"] == "1"
        [(request, _)] = picker.metrics.refused
        assert request is not None
        assert request.model == "llama"
        assert len(request.prompt.data) == 0, "a refused request keeps no body alive"


async def test_a_response_that_passed_by_the_picker_is_counted() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        await request.answered(served="10.0.0.1:8000")
        request.reset()
        await picker.at_rest()
        assert picker.metrics.bypassed == ["10.0.0.1:8000"]
