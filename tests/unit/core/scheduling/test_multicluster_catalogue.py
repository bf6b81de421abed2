"""Plugins of a picker in front of clusters: the formulas of a single cluster, on averages."""

from random import Random

import pytest

from epp.core.config.load import load_config
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.session_token import SessionKey
from tests.support.small_pool import SmallPool, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
PROMPT = "one prompt " * 60


def policy_of(plugins: str) -> Policy:
    return build_policy(load_config(HEAD + plugins, "epp.yaml", CATALOGUE), SessionKey(b"k" * 32))


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("multicluster-queue-scorer", [1.0, 0.75, 0.0]),
        ("multicluster-kv-cache-utilization-scorer", [0.875, 0.5, 0.25]),
    ],
)
def test_averages_are_taken_as_they_are_whatever_we_have_sent(name: str, scores: list[float]) -> None:
    pool, scorer = SmallPool(3), policy_of(f"- type: {name}\n").profiles[0].scorers[0].plugin
    for number, (waiting, kv_usage) in enumerate(((1.0, 0.125), (2.0, 0.5), (5.0, 0.75))):
        pool.report(number, waiting=waiting, kv_usage=kv_usage)
    pool.hold(0, 500)
    assert scorer.score(pool.cycle(), pool.candidates).tolist() == scores


@pytest.mark.parametrize("name", ["multicluster-queue-scorer", "multicluster-kv-cache-utilization-scorer"])
def test_a_silent_cluster_is_the_worst(name: str) -> None:
    pool, scorer = SmallPool(2), policy_of(f"- type: {name}\n").profiles[0].scorers[0].plugin
    pool.report(0, waiting=0.0, kv_usage=0.0)
    pool.now += 10.0
    pool.report(1, waiting=50.0, kv_usage=0.9)
    silent, known = scorer.score(pool.cycle(), pool.candidates).tolist()
    assert silent == 0.0
    assert known > 0.0


def test_a_prompt_goes_back_to_the_cluster_that_had_it() -> None:
    pool, policy = SmallPool(4), policy_of("- type: multicluster-prefix-cache-scorer\n")
    assert [named.name for named in policy.producers] == ["multicluster-approx-prefix-cache-producer"]
    scheduler = Scheduler(policy, pool.ledger, Random(1), lambda: pool.now)

    def decide(request: InferenceRequest) -> str:
        decision = scheduler.schedule(request, pool.snapshot, pool.candidates, pool.now)
        for lesson in decision.lessons:
            lesson()
        return decision.endpoint.key

    first = decide(text_request(PROMPT))
    assert {decide(text_request(PROMPT)) for _ in range(8)} == {first}


def test_a_session_stays_in_its_cluster() -> None:
    pool, policy = SmallPool(3), policy_of("- type: multicluster-session-affinity-filter\n")
    (named,) = policy.profiles[0].filters
    name, token = named.plugin.response_header(pool.endpoints[2])  # type: ignore[attr-defined]
    assert named.plugin.filter(pool.cycle(headers={name: token}), pool.candidates).positions.tolist() == [2]
    assert len(named.plugin.filter(pool.cycle(), pool.candidates)) == 3
