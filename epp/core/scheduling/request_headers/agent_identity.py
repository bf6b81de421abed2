"""agent-identity: requests of one agent session share a flow, so that fairness is between sessions.

fairness id = that of the fairness header; without it the first of these request headers that is there and not empty:
those of additionalSessionHeaders in their order, then x-claude-code-session-id (Claude Code), x-session-affinity
(OpenCode), session-id and session_id (Codex). A long id is kept short, as that of the fairness header is.
Source: agent-identity of the reference endpoint picker.
"""

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.record import replaced
from epp.core.domain.request import DEFAULT_FLOW, InferenceRequest
from epp.core.domain.short_id import short_id

SESSION_HEADERS = ("x-claude-code-session-id", "x-session-affinity", "session-id", "session_id")


class AgentIdentityParameters(Section, frozen=True):
    """`additional_session_headers` are looked at first."""

    additional_session_headers: tuple[Text, ...] = ()


class AgentIdentity:
    """See the module."""

    def __init__(self, parameters: AgentIdentityParameters) -> None:
        additional = tuple(header.lower() for header in parameters.additional_session_headers)
        self._headers = (*additional, *SESSION_HEADERS)

    def process(self, request: InferenceRequest) -> InferenceRequest:
        """See the module."""
        if request.fairness_id != DEFAULT_FLOW:
            return request
        for header in self._headers:
            session = request.headers.get(header)
            if session:
                return replaced(request, fairness_id=short_id(session))
        return request
