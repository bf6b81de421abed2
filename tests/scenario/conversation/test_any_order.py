"""Whatever the proxy sends in whatever order: nothing raises, and a decision is followed by exactly one Release."""

from collections.abc import Sequence
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import ServiceUnavailable
from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.commands import CancelRouting, Command, ExtendTimeout, Refuse, Release, Route
from epp.core.protocol.conversation import Conversation
from epp.core.protocol.events import (
    BodyMode,
    Event,
    Held,
    ProtocolConfig,
    Refused,
    RequestBodyChunk,
    RequestHeaders,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
    StreamEnded,
)
from epp.core.protocol.request_side import ConversationSettings
from epp.core.routing.model_rewrite import may_rewrite, rewritten
from epp.core.state.rewrite_table import NO_REWRITES, RewriteTable
from tests.support.playbook import PICKED, decided

HOLDS, ANSWERS, REFUSES = "routing holds", "routing answers", "routing refuses"
BODIES = (
    b"",
    b"{",
    b'{"model":"m","prompt":"x"}',
    b'{"model":"m","prompt":"x","priority":2}',
    b'{"prompt":"x"}',
    b"x" * 150,
    b"x" * 300,
)
GENERIC = RewriteRule((), (RewriteTarget("target"),))
EVERYTHING = RewriteTable.of([InferenceModelRewrite("default", "everything", "pool", (GENERIC,))])
FIELDS = {
    ":method": ("GET", "POST"),
    ":path": ("/v1/completions", "/v1/models", ""),
    ":status": ("200", "503", "", "²"),
    "content-type": ("application/json", "text/event-stream"),
    "content-length": ("0", "26", "1000", "x"),
    "x-request-id": ("", "r"),
}

headers = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()})
modes = st.sampled_from(BodyMode)
proxy_events = st.one_of(
    st.builds(
        RequestHeaders,
        headers,
        st.booleans(),
        st.sampled_from([None, (), ("10.0.0.1",)]),
        st.none() | st.builds(ProtocolConfig, modes, modes),
        st.booleans(),
    ),
    st.builds(RequestBodyChunk, st.sampled_from(BODIES), st.booleans()),
    st.just(RequestTrailers()),
    st.builds(ResponseHeaders, headers, st.booleans(), st.sampled_from(["", "10.0.0.1:8000"])),
    st.builds(ResponseBodyChunk, st.sampled_from(BODIES), st.booleans()),
    st.just(ResponseTrailers()),
)
tables = st.sampled_from([NO_REWRITES, EVERYTHING])
steps = st.lists(proxy_events | st.sampled_from([HOLDS, ANSWERS, REFUSES]), max_size=14)


class Stage:
    """Plays the executor: answers a question at most once, and not any more when it was taken back."""

    def __init__(self, mode: BodyMode, *, sampled: bool, expected: RewriteTable, rewrites: RewriteTable) -> None:
        """The rules may be other ones by the time of the decision than was expected when the body came."""
        limits = ConversationSettings(
            max_body_bytes=200, assume_body_mode=mode, may_rewrite=lambda request: may_rewrite(request, expected)
        )
        self._conversation = Conversation(limits, lambda: "generated", sampled=sampled)
        self._rewrites = rewrites
        self._request = InferenceRequest("r")
        self._is_asked = False
        self.decisions = 0
        self.commands: list[Command] = []

    def play(self, step: Event | str) -> None:
        """One event of the proxy, or one of routing's where it was asked."""
        if not isinstance(step, str):
            self._happens(step)
        elif self._is_asked:
            self._is_asked = step == HOLDS
            self.decisions += step == ANSWERS
            self._happens(self._of_routing(step))

    def _of_routing(self, step: str) -> Event:
        if step == HOLDS:
            return Held(3.0)
        if step == REFUSES:
            return Refused(ServiceUnavailable("full"))
        return decided(PICKED, rewritten(self._request, self._rewrites, Random(1)))

    def _happens(self, event: Event) -> None:
        for command in self._conversation.receive(event):
            self.commands.append(command)
            if isinstance(command, Route):
                self._is_asked, self._request = True, command.request
            if isinstance(command, CancelRouting):
                self._is_asked = False

    def count(self, kind: type[Command]) -> int:
        """How many commands of this kind there were."""
        return sum(isinstance(command, kind) for command in self.commands)


@settings(max_examples=500, deadline=None)
@given(modes, st.booleans(), tables, tables, steps)
@example(
    BodyMode.BUFFERED, True, NO_REWRITES, NO_REWRITES, [RequestHeaders({}, True), ANSWERS, RequestHeaders({}, True)]
)
@example(
    BodyMode.BUFFERED,
    False,
    NO_REWRITES,
    EVERYTHING,
    [RequestHeaders({":path": "/v1/completions"}, False), RequestBodyChunk(BODIES[2], True), ANSWERS],
)
def test_any_order(
    mode: BodyMode, sampled: bool, expected: RewriteTable, rewrites: RewriteTable, script: Sequence[Event | str]
) -> None:
    stage = Stage(mode, sampled=sampled, expected=expected, rewrites=rewrites)
    for step in script:
        stage.play(step)
    stage.play(StreamEnded())

    assert stage.decisions <= 1
    assert stage.count(Release) == stage.decisions
    assert stage.count(Route) <= 1
    assert stage.count(ExtendTimeout) <= 1
    refusals = stage.count(Refuse)
    assert refusals <= 1
    said_after = stage.commands[
        next((at for at, each in enumerate(stage.commands, 1) if isinstance(each, Refuse)), 0) :
    ]
    assert not refusals or len(said_after) == stage.decisions, "after a refusal a place is given back, and that is all"

    said = len(stage.commands)
    for step in (*script, StreamEnded()):
        stage.play(step)
    assert len(stage.commands) == said, "nothing is said after the end"
