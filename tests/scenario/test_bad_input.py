"""What clients and engines may send without harm: every request is served or refused clearly, and memory is bounded."""

import math
from random import Random
from typing import Any

import pytest

from epp.core.config.load import default_config, load_config
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import BadRequest, ServiceUnavailable
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.protocol.commands import Continue, Phase
from epp.core.protocol.events import BodyMode, RequestBodyChunk
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.yaml import load_documents
from epp.edge.objects.decode import decode
from epp.edge.objects.object_store import Assembly, ObjectStore, WantedPool
from tests.support.object_yaml import documents, objective_yaml, pod_yaml, pool_yaml, rewrite_yaml, rule_yaml
from tests.support.playbook import ANY_ROUTE, Playbook, a_refusal, post
from tests.support.routed_requests import endpoint, report
from tests.support.small_pool import POOL, SmallPool, text_request
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
        request = replaced(request, **fields)
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
    book = asked({name: "9" * 1_000_000}) << ANY_ROUTE
    request = book.nothing().routed
    assert len(request.fairness_id) <= 200
    Pool().serve(headers=request.headers, fairness_id=request.fairness_id)


def test_a_model_name_with_a_million_characters_is_refused() -> None:
    body = b'{"model":"%b","prompt":"x"}' % (b"m" * 1_000_000)
    (asked(body=body) << a_refusal(BadRequest, "the name of the model has 1000000 characters")).nothing()


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


SCORERS = ("queue-scorer", "kv-cache-utilization-scorer", "running-requests-size-scorer", "load-aware-scorer")


@pytest.mark.parametrize("scorer", SCORERS)
def test_what_is_known_beats_what_is_stale_or_was_never_heard(scorer: str) -> None:
    """However good the old numbers were; and when everybody has fallen silent, somebody is picked all the same."""
    text = f"apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{{type: {scorer}}}]\n"
    pool = SmallPool(3)
    scheduler = Scheduler(build_policy(load_config(text, "epp.yaml", CATALOGUE)), pool.ledger, Random(1), lambda: 0.0)

    def picked() -> str:
        decision = scheduler.schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
        assert pool.ledger.release(decision.reservation)
        return decision.endpoint.pod

    def scraped_and_picked() -> str:
        pool.report(1, waiting=40, running=40, kv_usage=0.9)
        return picked()

    pool.report(0, waiting=0, running=0, kv_usage=0.0)
    pool.now += 10.0
    assert {scraped_and_picked() for _ in range(10)} == {"vllm-1"}, "the busy one that was just heard of"
    pool.now += 10.0
    assert "vllm-0" in {picked() for _ in range(10)}, "the last numbers stand"


def assembled(*texts: str) -> Assembly:
    """What these objects come to."""
    store = ObjectStore("objects", WantedPool())
    found = [decode(document, "default").objects for document in load_documents(documents(*texts), "objects.yaml")]
    store.put("objects.yaml", [one for objects in found for one in objects])
    return store.assemble()


def routing_of(assembly: Assembly) -> Router:
    pool = SmallPool(0)
    pool.roster.objects_changed(assembly.state)
    scheduler = Scheduler(build_policy(default_config(CATALOGUE)), pool.ledger, Random(1), lambda: pool.now)
    return Router(pool.roster, scheduler, RoutingPolicy(), lambda: pool.now)


def test_an_objective_of_another_pool_counts_as_none() -> None:
    assembly = assembled(
        pool_yaml(),
        pod_yaml("a", "10.0.0.1"),
        objective_yaml("ours", priority=5),
        objective_yaml("theirs", priority=50, pool="other"),
    )
    router = routing_of(assembly)
    asked = [InferenceRequest("r", headers={"x-gateway-inference-objective": name}) for name in ("ours", "theirs")]
    assert [router.decide(request).request.priority for request in asked] == [5, 0]


def test_rewrites_that_contradict_one_another_serve_by_the_older_one() -> None:
    """A circle is none: a target is not rewritten again."""
    assembly = assembled(
        pool_yaml(),
        pod_yaml("a", "10.0.0.1"),
        rewrite_yaml("younger", rule_yaml("m", to="wrong"), created="2026-02-01T00:00:00Z"),
        rewrite_yaml("older", rule_yaml("m", to="n"), rule_yaml("n", to="m"), created="2026-01-01T00:00:00Z"),
        rewrite_yaml("elsewhere", rule_yaml("m", to="worse"), created="2025-01-01T00:00:00Z", pool="other"),
    )
    assert any("younger" in str(notice) and "older" in str(notice) for notice in assembly.notices)
    router = routing_of(assembly)
    targets = [router.decide(InferenceRequest("r", model=name)).request.target_model for name in ("m", "n", "other")]
    assert targets == ["n", "m", ""]


def test_without_a_pool_requests_are_refused_and_come_back_with_it() -> None:
    without = assembled(objective_yaml("ours", priority=5), pod_yaml("a", "10.0.0.1"))
    with pytest.raises(ServiceUnavailable, match="failed to find endpoint candidates"):
        routing_of(without).decide(InferenceRequest("r"))
    assert without.problems
    assert (
        routing_of(assembled(pool_yaml(), pod_yaml("a", "10.0.0.1"))).decide(InferenceRequest("r")).endpoint.pod == "a"
    )
