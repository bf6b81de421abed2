"""Headers that plugins put on a response, such as a session token."""

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Outcome
from epp.core.domain.record import replaced
from epp.core.protocol.commands import Continue, FollowServed, OverrideMode, Phase, Release
from epp.core.protocol.events import BodyMode, Decided
from tests.support.playbook import ANY_ROUTE, Playbook, decision_for, get, response, routing

FIRST, SECOND = "10.0.0.1:8000", "10.0.0.2:8000"
BOTH = f"{FIRST},{SECOND}"


def token(endpoint: Endpoint) -> tuple[str, str]:
    return "x-session-token", f"token of {endpoint.destination}"


def routed(*, sampled: bool = False) -> Playbook:
    """A buffered request that was routed to two endpoints, with a marker that names and one that does not."""
    decision = replaced(decision_for(BOTH), response_markers=(token, lambda _: None))
    book = Playbook(sampled=sampled) >> get(BodyMode.BUFFERED) << ANY_ROUTE
    return book >> Decided(decision) << routing(Phase.REQUEST_HEADERS, BOTH)


@pytest.mark.parametrize(
    ("served", "marks"),
    [
        (FIRST, (("x-session-token", f"token of {FIRST}"),)),
        (SECOND, (("x-session-token", f"token of {SECOND}"),)),
        ("", (("x-session-token", f"token of {FIRST}"),)),
        ("10.0.0.9:8000", ()),
    ],
)
def test_the_header_is_that_of_the_endpoint_that_served(served: str, marks: tuple[tuple[str, str], ...]) -> None:
    book = routed() >> response(served=served)
    book << FollowServed(served) << Continue(Phase.RESPONSE_HEADERS, marks)
    book.nothing()


def test_it_travels_with_a_mode_override_too() -> None:
    book = routed(sampled=True) >> response(content_type="text/event-stream", served=FIRST)
    marks = (("x-session-token", f"token of {FIRST}"),)
    book << FollowServed(FIRST) << OverrideMode(BodyMode.STREAMED, marks)
    book.nothing()


def test_an_answer_that_ends_with_its_headers_has_it_too() -> None:
    book = routed() >> response(served=FIRST, end_of_stream=True)
    book << FollowServed(FIRST)
    marks = (("x-session-token", f"token of {FIRST}"),)
    book << Continue(Phase.RESPONSE_HEADERS, marks) << Release(Outcome.COMPLETE, 200, 0, None)


@pytest.mark.parametrize("served", [FIRST, "10.0.0.9:8000", ""])
def test_what_the_gateway_says_may_be_told_too(served: str) -> None:
    decision = replaced(decision_for(FIRST), served_markers=(lambda said: ("x-said", said or "nothing"),))
    book = Playbook() >> get(BodyMode.BUFFERED) << ANY_ROUTE >> Decided(decision)
    book << routing(Phase.REQUEST_HEADERS, FIRST) >> response(served=served)
    book << FollowServed(served) << Continue(Phase.RESPONSE_HEADERS, (("x-said", served or "nothing"),))
    book.nothing()
