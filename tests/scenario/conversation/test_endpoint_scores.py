"""The proxy is told what the candidates scored, if the picker was told to tell."""

import numpy as np
import pytest

from epp.core.domain.decision import Decision, ScoreCard
from epp.core.domain.record import replaced
from epp.core.protocol.commands import Continue, Phase, SendRouting
from epp.core.protocol.events import BodyMode, Decided, RequestBodyChunk
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import ANY_ROUTE, Playbook, decision_for, post, routing
from tests.support.routed_requests import endpoint

BODY = b'{"model":"m","prompt":"x"}'
FIRST, SECOND, PICKED = (endpoint(number) for number in range(3))
SCORES = (("10.0.0.1:8000", 0.0), ("10.0.0.2:8000", 1.25), ("10.0.0.3:8000", 3.0))
MODES = pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.NONE])


def scored(destinations: str = PICKED.destination) -> Decision:
    card = ScoreCard("default", (FIRST, SECOND, PICKED), (), np.array([score for _, score in SCORES]))
    return replaced(decision_for(PICKED.destination), card=card, destinations=destinations)


def asked(mode: BodyMode, *, emits: bool) -> Playbook:
    """Routing was asked about a request that this proxy shows in `mode`."""
    book = Playbook(ConversationSettings(emit_endpoint_scores=emits)) >> post(mode)
    if mode is BodyMode.BUFFERED:
        book << Continue(Phase.REQUEST_HEADERS)
    if mode is not BodyMode.NONE:
        book >> RequestBodyChunk(BODY, end_of_stream=True)
    return book << ANY_ROUTE


def answer(mode: BodyMode, destinations: str = PICKED.destination) -> SendRouting:
    phase = Phase.REQUEST_BODY if mode is BodyMode.BUFFERED else Phase.REQUEST_HEADERS
    length = len(BODY) if mode is BodyMode.FULL_DUPLEX_STREAMED else None
    return routing(phase, destinations, content_length=length)


@MODES
def test_every_candidate_is_told_with_its_total(mode: BodyMode) -> None:
    told = replaced(answer(mode), scores=SCORES)
    asked(mode, emits=True) >> Decided(scored()) << told


@MODES
def test_nothing_is_told_unasked(mode: BodyMode) -> None:
    asked(mode, emits=False) >> Decided(scored()) << answer(mode)


def test_scores_of_addresses_that_the_proxy_does_not_see_are_not_told() -> None:
    """A pod's primary port stands for the rank that was picked."""
    primary = "10.0.0.3:9000"
    asked(BodyMode.NONE, emits=True) >> Decided(scored(primary)) << answer(BodyMode.NONE, primary)
