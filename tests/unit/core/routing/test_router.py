"""The router: objectives, admission, candidates, scheduling, and what comes after the decision."""

from random import Random

import numpy as np
import pytest

from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import DroppedReason, ResourceExhausted, ServiceUnavailable
from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.plugins import Scorer
from epp.core.scheduling.profile import Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import RequestControl
from epp.core.scheduling.request_headers.agent_identity import AgentIdentity, AgentIdentityParameters
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from epp.core.scheduling.scorers.lora_affinity import LoraAffinityScorer
from epp.core.state.columns import FloatColumn
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from tests.support.routed_requests import endpoint

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))
OBJECTIVES = (InferenceObjective("default", "batch", "pool", -1), InferenceObjective("default", "gold", "pool", 9))


class BestFirst:
    """Picks everybody, best first and in order among equals: the fallbacks can be seen."""

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        order: list[int] = np.argsort(-totals, kind="stable").tolist()
        return order


class Pool:
    """A router over endpoints that are picked by our own in-flight counts."""

    def __init__(
        self,
        count: int,
        policy: RoutingPolicy | None = None,
        *,
        scorer: Scorer | None = None,
        rewrites: tuple[InferenceModelRewrite, ...] = (),
    ) -> None:
        self.now = 1000.0
        self._rewrites = rewrites
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, lambda: self.now)
        profile = Profile(
            "default",
            (),
            (WeightedScorer("scorer", scorer or ActiveRequestScorer(ActiveRequestParameters()), 1.0),),
            BestFirst(),
        )
        control = RequestControl(request_header_processors=(AgentIdentity(AgentIdentityParameters()),))
        policy_of_plugins = Policy((profile,), SingleProfileHandler(), control=control)
        scheduler = Scheduler(policy_of_plugins, self.ledger, Random(1), lambda: self.now)
        self.router = Router(self.roster, scheduler, policy or RoutingPolicy(), lambda: self.now, Random(1))
        self.members(*range(count))

    def members(self, *numbers: int) -> None:
        self.endpoints = tuple(endpoint(number) for number in numbers)
        self.roster.objects_changed(ObjectState(POOL, self.endpoints, OBJECTIVES, self._rewrites))

    def decide(self, **fields: object) -> Decision:
        decision = self.router.decide(InferenceRequest("r", **fields))  # type: ignore[arg-type]  # test shorthand
        assert isinstance(decision, Decision)
        return decision

    def requests(self, one: Endpoint) -> int:
        slot = self.roster.slot_of(one)
        assert slot is not None
        return int(self.ledger.requests[slot])

    def unreachable(self, one: Endpoint) -> None:
        for _ in range(2):
            self.roster.scrape_failed(one, local_origin=True)


def test_a_decision_names_the_endpoint_and_its_fallbacks_and_holds_a_place() -> None:
    pool = Pool(3)
    decision = pool.decide(prompt=Prompt(PromptKind.TEXT, b"x" * 10))
    assert decision.endpoint == endpoint(0)
    assert decision.destinations == "10.0.0.1:8000,10.0.0.2:8000,10.0.0.3:8000"
    assert (pool.requests(endpoint(0)), pool.ledger.tokens.sum()) == (1, 3)
    assert pool.decide().endpoint == endpoint(1)


def test_a_place_is_given_back_once() -> None:
    pool = Pool(1)
    decision = pool.decide()
    assert [pool.router.release(decision) for _ in range(2)] == [True, False]
    assert pool.ledger.open_count == 0


def test_the_priority_is_final_in_the_decision() -> None:
    pool = Pool(1)
    assert pool.decide(headers={"x-gateway-inference-objective": "gold"}).request.priority == 9
    assert pool.decide(model="gold").request.priority == 9
    assert pool.decide(claimed_priority=3).request.priority == 3
    assert pool.decide().request.priority == 0


def test_an_empty_pool_is_unavailable_and_says_why() -> None:
    pool = Pool(0)
    with pytest.raises(ServiceUnavailable, match="failed to find endpoint candidates") as caught:
        pool.decide()
    refusal = caught.value
    assert (refusal.hint, refusal.reason) == ("the pool has no ready endpoint", DroppedReason.NO_ENDPOINTS)
    assert refusal.retry_after_s == 1
    pool.roster.objects_changed(ObjectState(None, ()))
    with pytest.raises(ServiceUnavailable) as caught:
        pool.decide()
    assert caught.value.hint == "the InferencePool is not known yet"


def test_the_subset_hint_restricts_the_candidates() -> None:
    pool = Pool(3)
    assert pool.decide(subset=("10.0.0.3", "10.0.0.2:8000")).destinations == "10.0.0.2:8000,10.0.0.3:8000"
    assert pool.decide(subset=None).endpoint == endpoint(0)


@pytest.mark.parametrize(
    ("subset", "named"), [((), "nobody"), (("10.9.9.9:1", "a", "b", "c", "d", "e"), "10.9.9.9:1, a, b, c, d")]
)
def test_a_hint_that_names_nobody_of_the_pool_is_unavailable(subset: tuple[str, ...], named: str) -> None:
    pool = Pool(2)
    with pytest.raises(ServiceUnavailable) as caught:
        pool.decide(subset=subset)
    assert f"the subset hint names {named}, and no ready endpoint" in caught.value.hint
    assert caught.value.reason is DroppedReason.NO_ENDPOINTS
    assert pool.ledger.open_count == 0


def test_the_hint_can_be_ignored() -> None:
    assert Pool(2, RoutingPolicy(honour_subset=False)).decide(subset=()).endpoint == endpoint(0)


def saturate(pool: Pool) -> None:
    for one in pool.endpoints:
        pool.roster.load_reported(one, LoadReport(waiting=10.0, kv_usage=0.9))


def test_a_saturated_pool_sheds_what_is_below_zero_only() -> None:
    pool = Pool(2)
    saturate(pool)
    with pytest.raises(ResourceExhausted, match="system saturated, sheddable request dropped") as caught:
        pool.decide(headers={"x-gateway-inference-objective": "batch"})
    assert caught.value.reason is DroppedReason.SATURATED
    assert pool.ledger.open_count == 0
    assert pool.decide().request.priority == 0
    assert pool.decide(model="gold").request.priority == 9


def test_a_pool_with_room_takes_what_is_below_zero() -> None:
    pool = Pool(2)
    for one in pool.endpoints:
        pool.roster.load_reported(one, LoadReport(waiting=0.0, kv_usage=0.1))
    assert pool.decide(model="batch").request.priority == -1


def test_an_endpoint_that_cannot_be_reached_is_left_out_for_a_while() -> None:
    pool = Pool(3)
    pool.unreachable(endpoint(0))
    assert pool.decide().destinations == "10.0.0.2:8000,10.0.0.3:8000"
    pool.now += 5.0
    assert endpoint(0) in pool.decide().endpoints


def test_when_nobody_can_be_reached_everybody_is_tried() -> None:
    pool = Pool(2)
    for one in pool.endpoints:
        pool.unreachable(one)
    assert len(pool.decide().endpoints) == 2
    pool.unreachable(endpoint(0))
    assert pool.decide(subset=("10.0.0.1",)).endpoint == endpoint(0)


def test_a_request_that_was_served_elsewhere_counts_there() -> None:
    pool = Pool(2)
    decision = pool.decide()
    pool.router.response_begun(decision, "10.0.0.2:8000")
    assert (pool.requests(endpoint(0)), pool.requests(endpoint(1))) == (0, 1)
    assert pool.router.release(decision)
    assert pool.ledger.open_count == pool.ledger.requests.sum() == 0


def test_a_server_that_is_not_of_the_pool_leaves_the_place_where_it_is() -> None:
    pool = Pool(2)
    decision = pool.decide()
    pool.router.response_begun(decision, "10.9.9.9:1")
    assert pool.requests(endpoint(0)) == 1


def test_an_endpoint_that_was_passed_over_twice_is_cooled_down() -> None:
    pool = Pool(2)
    for _ in range(2):
        decision = pool.decide(subset=("10.0.0.1",))
        pool.router.response_begun(decision, "10.0.0.2:8000")
    assert pool.roster.cooldowns.cooling(pool.now) == frozenset({endpoint(0).key})
    assert pool.decide().destinations == "10.0.0.2:8000"


def test_an_endpoint_that_served_as_picked_is_well() -> None:
    pool = Pool(2)
    for _ in range(4):
        decision = pool.decide(subset=("10.0.0.1",))
        pool.router.response_begun(decision, "10.0.0.2:8000")
        pool.router.response_begun(decision, decision.endpoint.destination)
    assert pool.roster.cooldowns.cooling(pool.now) == frozenset()


def test_nothing_is_held_against_an_endpoint_that_has_left() -> None:
    pool = Pool(2)
    decisions = [pool.decide(subset=("10.0.0.1",)) for _ in range(2)]
    pool.members(1)
    for decision in decisions:
        pool.router.response_begun(decision, "10.0.0.2:8000")
    pool.members(0, 1)
    assert pool.roster.cooldowns.cooling(pool.now) == frozenset()
    assert pool.requests(endpoint(1)) == 2


def rewrite(model: str, *targets: str) -> InferenceModelRewrite:
    rule = RewriteRule((model,), tuple(map(RewriteTarget, targets)))
    return InferenceModelRewrite("default", "rewrites", "pool", (rule,))


def test_the_target_model_is_final_before_scheduling() -> None:
    pool = Pool(3, scorer=LoraAffinityScorer(), rewrites=(rewrite("alias", "food"),))
    pool.roster.load_reported(pool.endpoints[2], LoadReport(running_adapters=("food",), max_adapters=4))
    decision = pool.decide(model="alias", target_model="alias")
    assert decision.endpoint == endpoint(2), "where the adapter of the target is loaded"
    assert (decision.request.model, decision.request.target_model) == ("alias", "food")
    assert decision.request.model_rewrite == "rewrites"


def test_the_objective_is_that_of_the_clients_model() -> None:
    pool = Pool(1, rewrites=(rewrite("gold", "batch"),))
    assert pool.decide(model="gold", target_model="gold").request.priority == 9


def test_targets_are_drawn_anew_for_every_request() -> None:
    pool = Pool(1, rewrites=(rewrite("alias", "v1", "v2"),))
    drawn = [pool.decide(model="alias", target_model="alias").request.target_model for _ in range(40)]
    assert set(drawn) == {"v1", "v2"}


def test_whether_a_body_has_to_be_kept_is_known_beforehand() -> None:
    pool = Pool(1, rewrites=(rewrite("alias", "food"),))
    assert pool.router.may_rewrite(InferenceRequest("r", model="alias"))
    assert not pool.router.may_rewrite(InferenceRequest("r", model="other"))
    assert pool.router.may_rewrite(
        InferenceRequest("r", model="other", headers={"x-gateway-model-name-rewrite": "food"})
    )


def test_what_plugins_take_from_headers_is_in_the_decided_request() -> None:
    assert Pool(1).decide(headers={"session-id": "s"}).request.fairness_id == "s"
    assert Pool(1).decide().request.fairness_id == "default-flow"
