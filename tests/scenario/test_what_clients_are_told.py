"""Every way in which a request is refused before it could wait, from its first message to the HTTP error.

In the order of a decision: body, candidates, screeners, admission, profiles, conditional decode, faults.
"""

from random import Random
from typing import NamedTuple

import msgspec
import pytest

from epp.core.config.load import load_config
from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.flow.saturation import detector_for
from epp.core.protocol.apis.parsers import DEFAULT_PARSERS, ParserTable
from epp.core.protocol.commands import Refuse, Route
from epp.core.protocol.conversation import Conversation
from epp.core.protocol.events import BodyMode, Refused, RequestBodyChunk, RequestHeaders
from epp.core.protocol.request_side import ConversationSettings
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.extproc.refusals import DROPPED_REASON, HttpError, to_http
from tests.support.playbook import get, post
from tests.support.routed_requests import endpoint
from tests.support.small_pool import POOL

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
QUEUE = "- {type: queue-scorer}\n"
HEADER_FILTER = "- {type: header-based-testing-filter}\n"
SCREENER = (
    "- type: disaggregatedset-rollout-screener\n  parameters:\n    scope: {labelSelector: app=vllm}\n"
    "    revisionGating: {mode: disabled}\n"
    "    headerSelectors: [{name: r, headerName: x-r, labelKey: r, mode: strict}]\n"
)
ADMITTER = (
    "- {type: probabilistic-admitter}\n- {type: utilization-detector, parameters: {queueDepthThreshold: 100000}}\n"
)
PROFILES = (
    "- {type: header-profile-handler}\n- {type: random-picker}\nschedulingProfiles:\n"
    "- {name: prefill, plugins: [{pluginRef: random-picker}]}\n"
    "- {name: decode, plugins: [{pluginRef: random-picker}]}\n"
)
NO_DECODE_PODS = (
    "- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}\n"
    "- {type: always-disagg-pd-decider}\n- {type: prefill-filter}\n- {type: random-picker}\nschedulingProfiles:\n"
    "- {name: prefill, plugins: [{pluginRef: random-picker}]}\n"
    "- {name: decode, plugins: [{pluginRef: prefill-filter}, {pluginRef: random-picker}]}\n"
)
ONLY_OPENAI = QUEUE + "- {type: openai-parser}\nrequestHandler: {parsers: [{pluginRef: openai-parser}]}\n"
BODY = b'{"model":"m","prompt":"x"}'
BATCH = {"x-gateway-inference-objective": "batch"}
BUFFERED = BodyMode.BUFFERED


class Pool:
    """Endpoints behind everything that decides; at each so many requests wait."""

    def __init__(self, config: str, endpoints: int, waiting: float) -> None:
        settings = load_config(HEAD + config, "epp.yaml", CATALOGUE)
        self.ledger = InFlightLedger()
        roster = Roster(self.ledger, lambda: 100.0)
        members = tuple(endpoint(number, labels={"app": "vllm"}) for number in range(endpoints))
        roster.objects_changed(ObjectState(POOL, members, (InferenceObjective("default", "batch", "pool", -1),)))
        for member in members:
            roster.load_reported(member, LoadReport(waiting=waiting, running=1.0, kv_usage=0.0))
        scheduler = Scheduler(build_policy(settings), self.ledger, Random(1), lambda: 100.0)
        policy = RoutingPolicy(saturation=detector_for(settings.saturation))
        self.router = Router(roster, scheduler, policy, lambda: 100.0)
        self._settings = ConversationSettings(
            max_body_bytes=1000, parsers=ParserTable(settings.parsers or DEFAULT_PARSERS)
        )

    def ask(self, begin: RequestHeaders, body: bytes | None) -> HttpError | Decision:
        """What comes of a request: an endpoint, or what the client is told."""
        conversation = Conversation(self._settings, lambda: "generated", sampled=False)
        commands = conversation.receive(begin)
        if body is not None and not any(isinstance(command, Refuse | Route) for command in commands):
            commands += conversation.receive(RequestBodyChunk(body, end_of_stream=True))
        for command in commands:
            if isinstance(command, Route):
                try:
                    return self.router.decide(command.request)
                except Refusal as refusal:
                    commands = conversation.receive(Refused(refusal))
        [refused] = [command for command in commands if isinstance(command, Refuse)]
        return to_http(refused.refusal, conversation.request_id)


class Row(NamedTuple):
    """A request that is refused, and how."""

    status: int
    text: str
    reason: str = ""
    config: str = QUEUE
    body: bytes | None = BODY
    begin: RequestHeaders = post(BUFFERED)
    endpoints: int = 2
    waiting: float = 0.0


NO_CANDIDATES = "ServiceUnavailable - failed to find endpoint candidates for serving the request"
ROWS = {
    "body is not JSON": Row(400, "BadRequest - error unmarshaling request bodyMap", body=b"{"),
    "body is empty": Row(400, "BadRequest - error unmarshaling request bodyMap", body=b""),
    "headers alone": Row(
        400, "BadRequest - error unmarshaling request bodyMap", body=None, begin=post(BUFFERED, end_of_stream=True)
    ),
    "no model": Row(400, "BadRequest - model not found in request body", body=b'{"prompt":"x"}'),
    "no prompt": Row(400, "BadRequest - invalid completions request: must have prompt field", body=b'{"model":"m"}'),
    "no messages": Row(
        400,
        "BadRequest - invalid chat completions request: must have valid messages field",
        body=b'{"model":"m"}',
        begin=post(BUFFERED, path="/v1/chat/completions"),
    ),
    "nobody reads the path": Row(
        400,
        "BadRequest - no parser registered matching path suffix for: /v1/other",
        config=ONLY_OPENAI,
        begin=post(BUFFERED, path="/v1/other"),
    ),
    "path that only ends like one": Row(
        400,
        "BadRequest - no parser registered matching path suffix for: /v1/foocompletions",
        config=ONLY_OPENAI,
        begin=post(BUFFERED, path="/v1/foocompletions"),
    ),
    "body over the limit": Row(413, "PayloadTooLarge - the request body is larger than 1000 bytes", body=b"x" * 1001),
    "no endpoint": Row(503, NO_CANDIDATES, "rejected-no-endpoints", endpoints=0),
    "no endpoint for a GET": Row(
        503, NO_CANDIDATES, "rejected-no-endpoints", endpoints=0, body=None, begin=get(BUFFERED)
    ),
    "subset of nobody": Row(503, NO_CANDIDATES, "rejected-no-endpoints", begin=post(BUFFERED, subset=())),
    "subset of strangers": Row(
        503, NO_CANDIDATES, "rejected-no-endpoints", begin=post(BUFFERED, subset=("10.9.9.9:8000",))
    ),
    "subset of nobody for a GET": Row(
        503,
        NO_CANDIDATES,
        "rejected-no-endpoints",
        body=None,
        begin=post(BUFFERED, method="GET", path="/v1/models", end_of_stream=True, subset=()),
    ),
    "screener": Row(
        503,
        "ServiceUnavailable - screeners eliminated all endpoint candidates",
        "rejected-no-endpoints",
        config=QUEUE + SCREENER,
        begin=post(BUFFERED, headers={"x-r": "7"}),
    ),
    "sheddable on a saturated pool": Row(
        429,
        "ResourceExhausted - system saturated, sheddable request dropped",
        "rejected-saturated",
        begin=post(BUFFERED, headers=BATCH),
        waiting=50.0,
    ),
    "admitter": Row(
        429,
        "ResourceExhausted - request cannot be admitted",
        "rejected-saturated",
        config=QUEUE + ADMITTER,
        begin=post(BUFFERED, headers=BATCH),
        waiting=50.0,
    ),
    "filter": Row(
        429,
        "ResourceExhausted - failed to find target endpoint: no endpoints available for the given request",
        "rejected-saturated",
        config=HEADER_FILTER,
    ),
    "unknown profile": Row(
        429,
        "ResourceExhausted - failed to find target endpoint",
        config=PROFILES,
        begin=post(BUFFERED, headers={"epp-profile": "nonsense"}),
    ),
    "no decode endpoint": Row(429, "failed to find available decode workers", "rejected-saturated", NO_DECODE_PODS),
    "nothing cached": Row(
        412,
        "PreconditionFailed - no decode worker has the requested KV cache",
        begin=post(BUFFERED, headers={"prefer": "if-available"}),
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_request_that_is_refused(row: Row) -> None:
    pool = Pool(row.config, row.endpoints, row.waiting)
    answer = pool.ask(row.begin, row.body)
    assert isinstance(answer, HttpError)
    error = msgspec.json.decode(answer.body)["error"]
    headers = dict(answer.headers)
    assert answer.status == error["code"] == row.status
    assert "inference error: " in error["message"]
    assert row.text in error["message"]
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "req-1"
    assert headers.get(DROPPED_REASON, "") == row.reason
    assert ("retry-after" in headers) == (row.status in (429, 503) and row.reason != "")
    assert pool.ledger.open_count == 0


SERVED = {
    "ordinary": (QUEUE, post(BUFFERED), 0.0),
    "not sheddable on a saturated pool": (QUEUE, post(BUFFERED), 50.0),
    "sheddable with room": (QUEUE, post(BUFFERED, headers=BATCH), 0.0),
    "objective that nobody knows": (QUEUE, post(BUFFERED, headers={"x-gateway-inference-objective": "?"}), 50.0),
    "path that nobody reads, by default": (QUEUE, post(BUFFERED, path="/v1/other"), 0.0),
}


@pytest.mark.parametrize(("config", "begin", "waiting"), SERVED.values(), ids=SERVED)
def test_a_request_that_is_served(config: str, begin: RequestHeaders, waiting: float) -> None:
    assert isinstance(Pool(config, 2, waiting).ask(begin, BODY), Decision)


@pytest.mark.parametrize("subset", [("10.0.0.2:8000",), ("10.0.0.2",), ("10.9.9.9:1", "10.0.0.2:8000")])
def test_a_request_without_a_body_keeps_to_the_subset(subset: tuple[str, ...]) -> None:
    begin = post(BUFFERED, method="GET", path="/v1/models", end_of_stream=True, subset=subset)
    answer = Pool(QUEUE, 3, 0.0).ask(begin, None)
    assert isinstance(answer, Decision)
    assert answer.destinations == "10.0.0.2:8000"
