"""The default policy learns what the fake engines cost, from whatever it gets to see of them, in virtual time."""

from random import Random

import pytest

from epp.core.config.load import load_config
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.cost.coefficients import Coefficients
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from epp.lab.fake_vllm.settings import LatencySettings
from epp.lab.simulation.pool import PoolPlan, SimulatedPool
from epp.lab.simulation.workloads import no_reuse, poisson, shared

TRUTH = LatencySettings(
    prefill_tokens_per_s=10_000.0,
    step_base_s=0.012,
    step_per_sequence_s=0.00002,
    step_per_context_token_s=2e-7,
)
REQUESTS = 600
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: expected-cost-scorer
  parameters:
    prefillSecondsPerToken: {prefill}
    attentionSecondsPerTokenSquared: 0
    kvSecondsPerToken: {kv}
    sequenceSecondsPerStep: 0.00002
    stepSeconds: {step}
"""


def learned(factor: float, *, sees_every: int, rate_per_s: float, reuses: bool = False) -> Coefficients:
    """What is learned by a policy whose coefficients begin at `factor` times the truth."""
    text = CONFIG.format(
        prefill=factor / TRUTH.prefill_tokens_per_s,
        kv=factor * TRUTH.step_per_context_token_s,
        step=factor * TRUTH.step_base_s,
    )
    plan = PoolPlan(pods=2, sees_every=sees_every, latency=TRUTH)
    pool = SimulatedPool(load_config(text, "epp.yaml", CATALOGUE), plan, seed=1)
    trace = (shared if reuses else no_reuse)(REQUESTS, Random(1))
    pool.run(list(poisson(trace, rate_per_s, Random(2))))
    scorer = pool.policy.profiles[0].scorers[0].plugin
    assert isinstance(scorer, ExpectedCostScorer)
    assert scorer.open_count == 0, "all requests are over"
    return scorer.coefficients_of(0)


def prefill_s_per_token(found: Coefficients, factor: float) -> float:
    return found.prefill_scale * factor / TRUTH.prefill_tokens_per_s


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("rate_per_s", "sees_every"), [(2.0, 1), (8.0, 1), (8.0, 4)])
def test_wrong_by_two_it_comes_within_a_fifth_of_the_truth(factor: float, rate_per_s: float, sees_every: int) -> None:
    found = learned(factor, sees_every=sees_every, rate_per_s=rate_per_s)
    assert prefill_s_per_token(found, factor) == pytest.approx(1.0 / TRUTH.prefill_tokens_per_s, rel=0.2)
    assert found.step_s == pytest.approx(TRUTH.step_base_s, rel=0.2)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_what_a_prefix_cache_saves_does_not_mislead_it(factor: float) -> None:
    found = learned(factor, sees_every=2, rate_per_s=1.2, reuses=True)
    assert prefill_s_per_token(found, factor) == pytest.approx(1.0 / TRUTH.prefill_tokens_per_s, rel=0.2)
    assert found.step_s == pytest.approx(TRUTH.step_base_s, rel=0.2)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_where_no_answer_is_seen_the_engines_own_sums_tell(factor: float) -> None:
    found = learned(factor, sees_every=0, rate_per_s=2.0)
    assert prefill_s_per_token(found, factor) == pytest.approx(1.0 / TRUTH.prefill_tokens_per_s, rel=0.25)
    assert found.step_s == pytest.approx(TRUTH.step_base_s, rel=0.25)
