"""What the picker tells a sidecar, and that a client cannot tell it anything: the sidecar calls whom it is named."""

import pytest

from epp.core.domain.record import replaced
from epp.core.protocol.commands import Continue, Mutation, Phase, SendRouting
from epp.core.protocol.events import BodyMode, Decided, RequestBodyChunk, RequestHeaders
from epp.core.protocol.headers import DESTINATION, PICKED_BY, PICKED_BY_VALUE
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, decision_for, get, post, routing

SIDECAR_HEADERS = (
    "x-prefiller-host-port",
    "x-prefiller-url",
    "x-encoder-hosts-ports",
    "x-data-parallel-host-port",
    "x-kv-cache-source-host-port",
)
TOLD = (("x-prefiller-host-port", "10.0.0.7:8000"),)
BODY = b'{"model":"base","prompt":"hello"}'


def told(*removed: str) -> SendRouting:
    """The decision with TOLD."""
    headers = ((DESTINATION, PICKED), (PICKED_BY, PICKED_BY_VALUE), *TOLD)
    return SendRouting(Phase.REQUEST_BODY, PICKED, Mutation(headers, removed, clear_route_cache=True))


def sent_by_client(*names: str) -> RequestHeaders:
    return post(BodyMode.BUFFERED, headers=dict.fromkeys(names, "169.254.169.254:80"))


def routed(headers: RequestHeaders) -> Playbook:
    """Up to the question where the request is to go."""
    book = Playbook() >> headers << Continue(Phase.REQUEST_HEADERS)
    return book >> RequestBodyChunk(BODY, end_of_stream=True) << ANY_ROUTE


def test_the_sidecar_is_told_with_the_decision() -> None:
    decision = replaced(decision_for(PICKED), request_headers=TOLD)
    (routed(sent_by_client()) >> Decided(decision) << told()).nothing()


def test_what_a_client_says_in_its_place_is_overwritten_and_the_rest_removed() -> None:
    decision = replaced(decision_for(PICKED), request_headers=TOLD)
    (routed(sent_by_client(*SIDECAR_HEADERS)) >> Decided(decision) << told(*SIDECAR_HEADERS[1:])).nothing()


@pytest.mark.parametrize("name", SIDECAR_HEADERS)
@pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.STREAMED, BodyMode.NONE])
def test_a_client_alone_cannot_name_anybody(name: str, mode: BodyMode) -> None:
    headers = get(mode)
    forged = replaced(headers, headers={**headers.headers, name: "169.254.169.254:80"})
    book = Playbook() >> forged << ANY_ROUTE
    (book >> Decided(decision_for(PICKED)) << routing(Phase.REQUEST_HEADERS, removed=(name,))).nothing()
