"""Configurations of every shape that the reference's samples, charts and older versions have: each loads and routes.

Those with plugin types that are not built on purpose say which, and what to do, and nothing else.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import PickerConfig
from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal, ResourceExhausted
from epp.core.domain.ports import ObjectState, TokenUsage
from epp.core.flow.build import flow_policy
from epp.core.flow.saturation import detector_for
from epp.core.flow.ticket import Ticket
from epp.core.routing.queueing import QueueingRouter
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.scheduling.session_token import SessionKey
from tests.support.queueing_pool import CountedFlow
from tests.support.routed_requests import report
from tests.support.small_pool import POOL, SmallPool, text_request

SAMPLES = Path(__file__).parent
NOT_BUILT = SAMPLES / "not_built"
ROLES = ("decode", "prefill", "encode", "")
"""of vllm-0 to vllm-3; the last one has no label, so it decodes"""
PROMPT = "a prompt of some length " * 40
IMAGES = '[{"type": "image_url"}]' + PROMPT
ANYBODY = {"vllm-0", "vllm-1", "vllm-2", "vllm-3"}
DECODE = {"vllm-0", "vllm-3"}


class SamplePool(SmallPool):
    """One pod per role behind the router that a configuration asks for; nobody has anything to do."""

    def __init__(self, config: PickerConfig, roles: Sequence[str]) -> None:
        place = {"kubernetes.io/hostname": "h"}
        super().__init__(len(roles), labels=[{"llm-d.ai/role": role, **place} if role else place for role in roles])
        policy = build_policy(config, SessionKey(b"k" * 32))
        self.scheduler = Scheduler(policy, self.ledger, Random(1), lambda: self.now, self._no_fault)
        self.roster.objects_changed(ObjectState(POOL, self.endpoints))
        self.report_all(waiting=0, running=0, kv_usage=0.0)
        detector = detector_for(config.saturation)
        router = Router(self.roster, self.scheduler, RoutingPolicy(saturation=detector), lambda: self.now)
        self.router: Router | QueueingRouter = router
        if config.gates.flow_control:
            self.router = QueueingRouter(
                router, self.roster, flow_policy(config), lambda: self.now, detector=detector, sink=CountedFlow()
            )

    def report_all(self, **signals: float) -> None:
        """A scrape of everybody."""
        for number in range(len(self.endpoints)):
            self.report(number, **signals)

    def ask(self, prompt: str = PROMPT, **fields: object) -> Decision | Ticket:
        return self.router.decide(text_request(prompt, **fields))

    def decide(self, prompt: str = PROMPT, **fields: object) -> Decision:
        """Somebody was picked at once; the plugins have learned from it."""
        decision = self.ask(prompt, **fields)
        assert isinstance(decision, Decision)
        for lesson in decision.lessons:
            lesson()
        return decision

    def _no_fault(self, event: str, request_id: str, error: BaseException) -> None:
        raise AssertionError(event) from error


def load(path: Path) -> PickerConfig:
    return load_config(path.read_bytes(), path.name, CATALOGUE)


def pool_of(name: str, roles: Sequence[str] = ROLES) -> SamplePool:
    return SamplePool(load(SAMPLES / f"{name}.yaml"), roles)


WHO_ANSWERS = {
    "chart_default": ANYBODY,
    "chart_grpc": ANYBODY,
    "chart_payload_agnostic": ANYBODY,
    "chart_triton": ANYBODY,
    "one_role": DECODE,
    "one_role_simulated": DECODE,
    "optimized_baseline": ANYBODY,
    "only_encode": {"vllm-2"},
    "only_prefill": {"vllm-1"},
    "only_decode": DECODE,
    "coordinator": DECODE,
    "data_parallel": DECODE,
    "prefill_decode": DECODE,
    "prefill_decode_simulated": DECODE,
    "prefill_decode_before_0_7": DECODE,
    "prefill_near_decode": DECODE,
    "encode_decode": DECODE,
    "encode_prefill_decode": DECODE,
    "precise": DECODE,
    "precise_simulated": DECODE,
    "precise_in_one": DECODE,
    "no_hit_lru": DECODE,
    "probabilistic_admitter": ANYBODY,
    "soft_reflective": ANYBODY,
    "program_aware": ANYBODY,
    "gie_conformance": {"vllm-2"},
    "gie_v1_0": ANYBODY,
    "gie_v1_2": ANYBODY,
    "gie_v1_3": ANYBODY,
    "gie_v1_4": ANYBODY,
    "gie_v1_5": ANYBODY,
}
"""by sample: the pods that may answer"""


def test_every_sample_is_tried() -> None:
    assert sorted(path.stem for path in SAMPLES.glob("*.yaml")) == sorted(WHO_ANSWERS)


@pytest.mark.parametrize(("name", "pods"), WHO_ANSWERS.items(), ids=WHO_ANSWERS)
def test_a_sample_routes_requests(name: str, pods: set[str]) -> None:
    pool = pool_of(name, ("", "", "", "") if name == "program_aware" else ROLES)
    headers = {"test-epp-endpoint-selection": "10.0.0.3"}
    decisions = [pool.decide(model=f"model-{number}", headers=headers) for number in range(3)]
    assert {decision.endpoint.pod for decision in decisions} <= pods
    for decision in decisions:
        assert pool.router.release(decision)
        pool.router.finished(decision, report(usage=TokenUsage(10, 10)))
    assert pool.ledger.open_count == 0


STAGES = {
    "prefill_decode": "prefill-decode",
    "prefill_decode_simulated": "prefill-decode",
    "prefill_decode_before_0_7": "prefill-decode",
    "prefill_near_decode": "prefill-decode",
    "encode_decode": "encode-decode",
    "encode_prefill_decode": "encode-prefill-decode",
}


@pytest.mark.parametrize(("name", "stages"), STAGES.items(), ids=STAGES)
def test_a_cold_prompt_with_images_runs_in_every_stage_there_is(name: str, stages: str) -> None:
    decision = pool_of(name).decide(IMAGES)
    assert decision.disaggregation is not None
    assert decision.disaggregation.stages == stages
    headers = dict(decision.request_headers)
    assert headers.get("x-prefiller-host-port", "") == ("10.0.0.2:8000" if "prefill" in stages else "")
    assert headers.get("x-encoder-hosts-ports", "") == ("10.0.0.3:8000" if "encode" in stages else "")


@pytest.mark.parametrize("name", ["prefill_decode", "prefill_decode_simulated", "prefill_near_decode"])
def test_a_repeated_prompt_is_prefilled_where_it_is_decoded(name: str) -> None:
    pool = pool_of(name)
    first = pool.decide()
    again = pool.decide()
    assert first.disaggregation is not None
    assert again.disaggregation is not None
    assert (first.disaggregation.stages, again.disaggregation.stages) == ("prefill-decode", "decode-only")
    assert again.endpoint == first.endpoint


@pytest.mark.parametrize("name", [name for name in WHO_ANSWERS if name.startswith(("one_role", "chart_d", "optim"))])
def test_a_repeated_prompt_stays_where_it_is_cached(name: str) -> None:
    pool = pool_of(name)
    first = pool.decide()
    assert all(pool.decide().endpoint == first.endpoint for _ in range(3))


@pytest.mark.parametrize("role", ["encode", "prefill", "decode"])
def test_the_coordinator_says_which_role_it_wants(role: str) -> None:
    decision = pool_of("coordinator").decide(headers={"epp-profile": role})
    assert decision.endpoint.pod in {"encode": {"vllm-2"}, "prefill": {"vllm-1"}, "decode": DECODE}[role]


def test_a_rank_is_named_in_a_header() -> None:
    decision = pool_of("data_parallel").decide()
    assert decision.request_headers == (("x-data-parallel-host-port", decision.endpoint.destination),)


def test_a_session_stays_whatever_the_body() -> None:
    pool = pool_of("chart_payload_agnostic")
    first = pool.decide()
    [(name, token)] = first.response_headers(first.endpoint)
    assert name == "x-session-token"
    pool.router.release(first)
    assert pool.decide(headers={name: token}).endpoint == first.endpoint


def test_two_endpoints_are_named_where_two_are_asked_for() -> None:
    assert len(pool_of("gie_v1_0").decide().endpoints) == 2


def test_only_the_admitter_sheds_where_the_detector_never_does() -> None:
    pool = pool_of("probabilistic_admitter")
    pool.report_all(waiting=500, running=50, kv_usage=0.99)
    pool.decide()
    with pytest.raises(ResourceExhausted, match="request cannot be admitted"):
        pool.ask(claimed_priority=-1)


def test_programs_wait_for_a_place_of_their_pods() -> None:
    pool = pool_of("program_aware", ("", ""))
    running = [pool.decide(headers={"session-id": f"agent-{number}"}) for number in range(2)]
    assert [decision.request.fairness_id for decision in running] == ["agent-0", "agent-1"]
    waiting = pool.ask(headers={"session-id": "agent-0"})
    assert isinstance(waiting, Ticket)
    answers: list[Decision | Refusal] = []
    waiting.on_answer(answers.append)
    assert isinstance(pool.router, QueueingRouter)
    pool.router.release(running[0])
    pool.router.work()
    [granted] = answers
    assert isinstance(granted, Decision)
    assert granted.endpoint == running[0].endpoint


def test_low_priorities_slow_down_before_they_stop() -> None:
    pool = pool_of("soft_reflective")
    pool.report_all(waiting=4, running=1, kv_usage=0.1)
    low = [pool.ask(claimed_priority=-1) for _ in range(4)]
    assert any(isinstance(answer, Ticket) for answer in low)
    assert isinstance(pool.ask(claimed_priority=5), Decision)


def test_what_an_answer_cost_is_told() -> None:
    [reporter] = pool_of("gie_v1_5").decide().reporters
    number = reporter(TokenUsage(10, 20))
    assert number is not None
    assert (number.namespace, number.key, number.number) == ("envoy.lb", "x-cost", 50)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_only_experimental_types_need_the_flag(path: Path) -> None:
    """Those that the reference loads only with --allow-experimental-plugins."""
    experimental = [notice for notice in load(path).notices if notice.text.endswith(" is experimental")]
    if not experimental:
        load_config(path.read_bytes(), path.name, CATALOGUE, allow_experimental=False)
        return
    with pytest.raises(ConfigurationError, match="experimental plugins are not allowed") as caught:
        load_config(path.read_bytes(), path.name, CATALOGUE, allow_experimental=False)
    assert len(caught.value.mistakes) == len(experimental)


MISSING = {
    "gpu": ["dcgm-data-source", "dcgm-extractor"],
    "mm_embeddings": ["mm-embeddings-cache-producer", "mm-embeddings-cache-scorer"],
    "predicted_latency": [
        "predicted-latency-producer",
        "latency-scorer",
        "slo-headroom-tier-filter",
        "latency-slo-admitter",
    ],
}


@pytest.mark.parametrize(("name", "types"), MISSING.items(), ids=MISSING)
def test_what_is_not_built_is_named_with_advice_and_nothing_else_is_said(name: str, types: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(NOT_BUILT / f"{name}.yaml")
    assert [mistake.problem.partition(" is not built here")[0] for mistake in caught.value.mistakes] == types
    assert all(mistake.suggestion and "did you mean" not in mistake.suggestion for mistake in caught.value.mistakes)


def test_every_such_sample_is_tried() -> None:
    assert sorted(path.stem for path in NOT_BUILT.glob("*.yaml")) == sorted(MISSING)
