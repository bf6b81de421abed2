"""A dispatched request is broken off: the client gets the error, and the place is kept until the stream has ended."""

import pytest

from epp.core.domain.ports import Outcome
from epp.core.flow import refusals
from epp.core.protocol.commands import Continue, FollowServed, Phase, Refuse, Release
from epp.core.protocol.events import BodyMode, Refused, RequestBodyChunk, ResponseHeaders, StreamEnded
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, decided, post, response, routing

BODY = b'{"model":"m","prompt":"x"}'
EVICTED = refusals.evicted()


def dispatched() -> Playbook:
    return (
        Playbook()
        >> post(BodyMode.BUFFERED)
        << Continue(Phase.REQUEST_HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << ANY_ROUTE
        >> decided()
        << routing(Phase.REQUEST_BODY)
    )


def test_before_the_answer() -> None:
    (
        dispatched()
        >> Refused(EVICTED)
        << Refuse(EVICTED)
        >> StreamEnded()
        << Release(Outcome.ERROR, status=0, response_bytes=None, usage=None)
    ).nothing()


def test_after_the_answer_has_begun() -> None:
    (
        dispatched()
        >> response(200, "text/event-stream")
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> Refused(EVICTED)
        << Refuse(EVICTED)
        >> StreamEnded()
        << Release(Outcome.ERROR, status=200, response_bytes=None, usage=None)
    ).nothing()


@pytest.mark.parametrize("late", [response(429, served=""), RequestBodyChunk(b"", end_of_stream=True)])
def test_what_the_proxy_still_sends_is_not_answered(late: ResponseHeaders | RequestBodyChunk) -> None:
    (
        dispatched()
        >> Refused(EVICTED)
        << Refuse(EVICTED)
        >> late
        >> StreamEnded()
        << Release(Outcome.ERROR, status=0, response_bytes=None, usage=None)
    ).nothing()  # fmt: skip


def test_a_second_time_changes_nothing() -> None:
    (
        dispatched()
        >> Refused(EVICTED)
        << Refuse(EVICTED)
        >> Refused(EVICTED)
        >> StreamEnded()
        << Release(Outcome.ERROR, status=0, response_bytes=None, usage=None)
        >> StreamEnded()
    ).nothing()  # fmt: skip
