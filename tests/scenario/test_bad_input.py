"""What clients and engines may send without harm: every request is served or refused clearly, and memory is bounded."""

import math
from random import Random
from typing import Any

import msgspec
import pytest

from epp.core.config.load import default_config
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import BadRequest
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.protocol.commands import Continue, Phase, Refuse, Route
from epp.core.protocol.events import BodyMode, RequestBodyChunk
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.playbook import ANY_REQUEST, Playbook, a_refusal, post
from tests.support.routed_requests import endpoint, report
from tests.support.small_pool import POOL
from tests.support.watched_pool import WatchedPool

ABSURD = (math.nan, math.inf, -math.inf, -5.0, 1e300)


class Pool(WatchedPool):
    """The default policy over a few endpoints, with the numbers that watch it."""

    def __init__(self, endpoints: int = 3) -> None:
        super().__init__()
        self.endpoints: tuple[Endpoint, ...] = tuple(endpoint(number) for number in range(endpoints))
        self.roster.objects_changed(ObjectState(POOL, self.endpoints, (InferenceObjective("n", "o", "pool", 3),)))
        scheduler = Scheduler(build_policy(default_config(CATALOGUE)), self.ledger, Random(1), self.clock)
        self.router = Router(self.roster, scheduler, RoutingPolicy(), self.clock)

    def serve(self, **fields: object) -> None:
        """One request, from its decision to its end."""
        request = InferenceRequest("r", prompt=Prompt(PromptKind.TEXT, b"some words " * 40))
        request = msgspec.structs.replace(request, **fields)
        decision = self.router.decide(request)
        self.sink.request_routed(decision)
        assert self.router.release(decision)
        self.sink.request_finished(decision, report())


def asked(headers: dict[str, str] | None = None, body: bytes = b'{"model":"m","prompt":"x"}') -> Playbook:
    return (
        Playbook()
        >> post(BodyMode.BUFFERED, headers=headers)
        << Continue(Phase.REQUEST_HEADERS)
        >> RequestBodyChunk(body, end_of_stream=True)
    )


@pytest.mark.parametrize(
    "name",
    [
        "x-gateway-inference-fairness-id",
        "x-gateway-inference-objective",
        "x-session-token",
        "x-session-id",
        "x-llm-d-request-ttl-ms",
        "x-slo-ttft-ms",
        "epp-profile",
        "content-length-of-something",
        "x-request-id",
    ],
)
def test_a_header_with_a_million_characters(name: str) -> None:
    book = asked({name: "9" * 1_000_000}) << Route(ANY_REQUEST)
    request = book.nothing().routed
    assert len(request.fairness_id) <= 200
    Pool().serve(headers=request.headers, fairness_id=request.fairness_id)


def test_a_model_name_with_a_million_characters_is_refused() -> None:
    body = b'{"model":"%b","prompt":"x"}' % (b"m" * 1_000_000)
    (asked(body=body) << Refuse(a_refusal(BadRequest, "the name of the model has 1000000 characters"))).nothing()


def test_ten_thousand_model_names_and_tenants_leave_bounded_label_sets() -> None:
    pool = Pool()
    for number in range(10_000):
        pool.serve(model=f"model-{number}", target_model=f"model-{number}", fairness_id=f"tenant-{number}")
    page = pool.page()
    assert len(page.label_values("inference_objective_request_total", "model_name")) <= 1_001
    assert sum(page.samples["inference_objective_request_total"].values()) == 10_000
    assert pool.ledger.open_count == 0


@pytest.mark.parametrize("value", ABSURD)
def test_absurd_metrics_neither_fail_nor_draw_everything(value: float) -> None:
    pool = Pool()
    liar, *others = pool.endpoints
    absurd: dict[str, Any] = dict.fromkeys(("waiting", "running", "kv_usage", "kv_block_tokens", "kv_blocks"), value)
    pool.roster.load_reported(liar, LoadReport(**absurd))
    for other in others:
        pool.roster.load_reported(other, LoadReport(waiting=0, running=0, kv_usage=0.0))
    held = [pool.router.decide(InferenceRequest(f"r{number}")) for number in range(12)]
    picked = [decision.endpoint for decision in held]
    assert picked.count(liar) <= 8
    for decision in held:
        assert pool.router.release(decision)
    assert pool.ledger.open_count == 0


def test_an_objective_that_nobody_defined_counts_as_none() -> None:
    pool = Pool()
    request = InferenceRequest("r", headers={"x-gateway-inference-objective": "unknown"}, claimed_priority=50)
    assert pool.router.resolve(request).priority == 0
