"""agent-identity: which header names the flow."""

import pytest

from epp.core.domain.request import DEFAULT_FLOW, InferenceRequest
from epp.core.domain.short_id import short_id
from epp.core.scheduling.request_headers.agent_identity import AgentIdentity, AgentIdentityParameters

ALL = {"x-claude-code-session-id": "c", "x-session-affinity": "o", "session-id": "i", "session_id": "u"}


def fairness_id(headers: dict[str, str], *additional: str, given: str = DEFAULT_FLOW) -> str:
    request = InferenceRequest("r", headers=headers, fairness_id=given)
    return AgentIdentity(AgentIdentityParameters(additional)).process(request).fairness_id


def test_the_headers_in_their_order() -> None:
    left = dict(ALL)
    for header, session in ALL.items():
        assert fairness_id(left) == session
        del left[header]
    assert fairness_id(left) == DEFAULT_FLOW


def test_additional_headers_come_first_however_they_are_written() -> None:
    assert fairness_id({**ALL, "x-mine": "m", "x-other": "n"}, "X-Mine", "x-other") == "m"
    assert fairness_id({**ALL, "x-other": "n"}, "X-Mine", "x-other") == "n"


def test_an_empty_header_counts_for_nothing() -> None:
    assert fairness_id({"x-claude-code-session-id": "", "session_id": "u"}) == "u"


def test_the_fairness_header_wins() -> None:
    assert fairness_id(ALL, given="tenant") == "tenant"


@pytest.mark.parametrize("headers", [{}, {"x-session-id": "x"}])
def test_without_such_a_header_the_request_stays_as_it_is(headers: dict[str, str]) -> None:
    request = InferenceRequest("r", headers=headers)
    assert AgentIdentity(AgentIdentityParameters()).process(request) is request


def test_a_long_id_is_kept_short() -> None:
    long = "s" * 50_000
    assert fairness_id({"session-id": long}) == short_id(long)
    assert len(fairness_id({"session-id": long})) < 1000
