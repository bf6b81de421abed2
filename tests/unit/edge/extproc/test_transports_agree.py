"""The same conversations through both transports: the same answers, byte for byte, the same ends, the same books."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from epp.core.flow import refusals
from epp.core.protocol.events import BodyMode
from epp.core.protocol.request_side import ConversationSettings
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient
from tests.support.ext_proc_stream import PATIENCE_S
from tests.support.picker import Picker, serving
from tests.support.transports import KINDS
from tests.unit.edge.extproc.envoy_talk import Router, Talk

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
LONG = b'{"model":"llama","prompt":"%s"}' % (b"x" * 2_500_000)
SSE = b'data: {"choices":[{"text":"hi"}]}\n\n'
BUFFERED, DUPLEX, STREAMED = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.STREAMED
SETTINGS = ConversationSettings(max_body_bytes=4_000_000)


class Observed(msgspec.Struct, frozen=True):
    """What a conversation came to."""

    answers: tuple[bytes, ...]
    end: str
    """status and details, empty when the client reset the stream"""
    reports: tuple[tuple[object, ...], ...]
    refusals: tuple[str, ...]
    faults: tuple[str, ...]


Conversation = Callable[[Talk], Awaitable[None]]


async def buffered(talk: Talk) -> None:
    await talk.headers(BUFFERED)
    await talk.hear("request_headers")
    await talk.body(BODY)
    await talk.hear("request_body")
    await talk.response()
    await talk.hear("response_headers")
    talk.reset()


async def without_a_body(talk: Talk) -> None:
    await talk.headers(BUFFERED, method="GET", end=True)
    await talk.hear("request_headers")
    await talk.response(204, end=True)
    await talk.hear("response_headers")
    await talk.half_close()


async def full_duplex(talk: Talk) -> None:
    await talk.headers(DUPLEX, DUPLEX)
    await talk.body(BODY[:9], end=False)
    await talk.body(BODY[9:], end=False)
    await talk.trailers()
    await talk.hear("request_headers", "request_body", "request_trailers")
    await talk.response(kind="text/event-stream")
    await talk.hear("response_headers")
    for _ in range(30):
        await talk.response_body(SSE)
        await talk.hear("response_body")
    await talk.response_trailers()
    await talk.hear("response_trailers")
    await talk.half_close()


async def a_long_body_in_one_message(talk: Talk) -> None:
    await talk.headers(DUPLEX)
    await talk.body(LONG)
    await talk.hear("request_headers")
    await talk.hear_body(len(LONG))
    await talk.response()
    await talk.hear("response_headers")
    talk.reset()


async def a_long_body_in_many_messages(talk: Talk) -> None:
    await talk.headers(DUPLEX)
    for at in range(0, len(LONG), 16_384):
        await talk.body(LONG[at : at + 16_384], end=at + 16_384 >= len(LONG))
    await talk.hear("request_headers")
    await talk.hear_body(len(LONG))
    talk.reset()


async def streamed_both_ways(talk: Talk) -> None:
    await talk.headers(STREAMED, STREAMED)
    await talk.hear("request_headers")
    for part, end in ((BODY[:5], False), (BODY[5:], True)):
        await talk.body(part, end=end)
        await talk.hear("request_body")
    await talk.response(503)
    await talk.hear("response_headers")
    await talk.response_body(b"no", end=True)
    await talk.hear("response_body")
    await talk.half_close()


async def several_messages_at_once(talk: Talk) -> None:
    await talk.headers(STREAMED, STREAMED)
    for _ in range(50):
        await talk.body(b"x", end=False)
    await talk.body(b"", end=True)
    await talk.hear("request_headers", *["request_body"] * 51)
    talk.reset()


async def a_body_that_is_no_json(talk: Talk) -> None:
    await talk.headers(BUFFERED)
    await talk.hear("request_headers")
    await talk.body(b'{"model":')
    await talk.hear("immediate_response")
    await talk.half_close()


async def a_body_that_is_too_long(talk: Talk) -> None:
    await talk.headers(DUPLEX)
    for _ in range(3):
        await talk.body(bytes(1_500_000), end=False)
    await talk.hear("immediate_response")
    talk.reset()


async def a_message_that_is_none(talk: Talk) -> None:
    await talk.raw(b"\xff\xff\xff")
    await talk.ended()


async def a_message_above_the_limit(talk: Talk) -> None:
    await talk.raw(bytes(SETTINGS.max_body_bytes + (1 << 20) + 1))
    await talk.ended(with_details=False)


async def nothing_at_all(talk: Talk) -> None:
    await talk.half_close()


async def an_end_in_the_middle_of_a_body(talk: Talk) -> None:
    await talk.headers(DUPLEX)
    await talk.body(BODY[:9], end=False)
    await talk.half_close()


async def a_reset_in_the_middle_of_a_body(talk: Talk) -> None:
    await talk.headers(DUPLEX)
    await talk.body(BODY[:9], end=False)
    await eventually(lambda: talk.picker.budget.held_bytes == 9)
    talk.reset()


async def a_reset_in_the_middle_of_an_answer(talk: Talk) -> None:
    await full_duplex_answer(talk)
    talk.reset()


async def full_duplex_answer(talk: Talk) -> None:
    await talk.headers(BUFFERED, DUPLEX)
    await talk.hear("request_headers")
    await talk.body(BODY)
    await talk.hear("request_body")
    await talk.response(kind="text/event-stream")
    await talk.hear("response_headers")
    await talk.response_body(SSE * 4_000)
    await talk.hear("response_body", "response_body", "response_body")


async def held_and_granted(talk: Talk) -> None:
    talk.router.holds = True
    await talk.headers(BUFFERED)
    await talk.hear("request_headers")
    await talk.body(BODY)
    await talk.hear("override_message_timeout")
    talk.router.grant()
    await talk.hear("request_body")
    talk.reset()


async def held_and_left(talk: Talk) -> None:
    talk.router.holds = True
    await talk.headers(BUFFERED)
    await talk.hear("request_headers")
    await talk.body(BODY)
    await talk.hear("override_message_timeout")
    await talk.half_close()


async def held_when_the_picker_is_drained(talk: Talk) -> None:
    talk.router.holds = True
    await talk.headers(DUPLEX)
    await talk.body(BODY)
    await eventually(lambda: talk.router.held)
    draining = asyncio.ensure_future(talk.picker.transport.drain(PATIENCE_S))
    await talk.hear("immediate_response")
    talk.reset()
    await draining


async def answering_when_the_picker_is_drained(talk: Talk) -> None:
    await full_duplex_answer(talk)
    draining = asyncio.ensure_future(talk.picker.transport.drain(PATIENCE_S))
    await talk.ended()
    await draining


async def broken_off(talk: Talk) -> None:
    await talk.headers(BUFFERED)
    await talk.hear("request_headers")
    await talk.body(BODY)
    await talk.hear("request_body")
    [break_off] = talk.router.running
    break_off(refusals.evicted())
    await talk.response()
    await talk.hear("immediate_response")
    talk.reset()


CONVERSATIONS: list[Conversation] = [
    buffered,
    without_a_body,
    full_duplex,
    a_long_body_in_one_message,
    a_long_body_in_many_messages,
    streamed_both_ways,
    several_messages_at_once,
    a_body_that_is_no_json,
    a_body_that_is_too_long,
    a_message_that_is_none,
    a_message_above_the_limit,
    nothing_at_all,
    an_end_in_the_middle_of_a_body,
    a_reset_in_the_middle_of_a_body,
    a_reset_in_the_middle_of_an_answer,
    held_and_granted,
    held_and_left,
    held_when_the_picker_is_drained,
    answering_when_the_picker_is_drained,
    broken_off,
]


async def observed(kind: str, conversation: Conversation) -> Observed:
    """One conversation through this transport, to its end."""
    picker = Picker(settings=SETTINGS, transport_kind=kind)
    picker.routing = router = Router(picker)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        talk = Talk(envoy.stream(), picker, router)
        await conversation(talk)
        await picker.at_rest()
        faults = tuple(f"{event} {request_id}: {error!r}" for event, request_id, error in picker.faults.faults)
        picker.faults.faults.clear()
    reports = tuple(
        (report.outcome, report.status, report.request_bytes, report.response_bytes, report.usage, report.served)
        for report in picker.metrics.reports
    )
    refused = tuple(f"{type(refusal).__name__}: {refusal}" for _, refusal in picker.metrics.refused)
    return Observed(tuple(talk.heard), talk.end, reports, refused, faults)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.__name__)
async def test_a_conversation(conversation: Conversation) -> None:
    first, second = [await observed(kind, conversation) for kind in KINDS]
    assert first == second


async def test_a_difference_would_be_noticed() -> None:
    one, other = [await observed(KINDS[0], conversation) for conversation in (buffered, without_a_body)]
    assert one != other
