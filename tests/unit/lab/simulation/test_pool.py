"""The simulated pool: every request is served once, and the same seed gives the same times."""

from random import Random

import pytest

from epp.core.config.load import built_in_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.lab.simulation.pool import H100_8B, PoolPlan, SimulatedPool, Times
from epp.lab.simulation.workloads import TraceRequest, poisson, shared

PLAN = PoolPlan(pods=2)


def simulated(policy: str = "expected-cost", plan: PoolPlan = PLAN, requests: int = 60) -> list[Times]:
    arrivals = list(poisson(shared(requests, Random(1)), 4.0, Random(2)))
    return SimulatedPool(built_in_policy(policy, CATALOGUE), plan, seed=3).run(arrivals)


@pytest.mark.parametrize("policy", ["expected-cost", "reference"])
def test_every_request_is_served(policy: str) -> None:
    times = simulated(policy)
    assert len(times) == 60
    assert all(each.arrived_at < each.first_token_at <= each.ended_at for each in times)
    assert {each.pod for each in times} == {0, 1}
    assert sum(each.cached_tokens for each in times) > 0


def test_the_same_seed_gives_the_same_times() -> None:
    assert simulated() == simulated()


def test_a_slow_pod_takes_twice_as_long() -> None:
    def alone(slow_pods: int) -> Times:
        pool = SimulatedPool(built_in_policy("reference", CATALOGUE), PoolPlan(pods=1, slow_pods=slow_pods), seed=1)
        (times,) = pool.run([(0.0, TraceRequest(0.0, 1024, 11, [1, 2]))])
        return times

    assert alone(1).ended_at == pytest.approx(2.0 * alone(0).ended_at)
    prefill_s = 1024 / H100_8B.prefill_tokens_per_s + H100_8B.attention_s_per_token_squared * 1024**2
    step_s = H100_8B.step_base_s + H100_8B.step_per_sequence_s
    assert alone(0).first_token_at == pytest.approx(prefill_s + step_s)
