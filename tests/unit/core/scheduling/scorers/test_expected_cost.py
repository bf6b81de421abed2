"""The expected cost in seconds: each term by itself, then the picks that follow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.ports import LoadReport
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from tests.support.cost_pool import PRODUCER, costs, cycle_of, end, scorer, send
from tests.support.small_pool import SmallPool


def test_the_uncached_part_of_the_prompt_costs_its_prefill() -> None:
    pool = SmallPool(3)
    assert costs(pool, scorer(), cycle_of(pool, 100, {1: 5, 2: 10})) == [0.1, 0.05, 0.001]


def test_attention_grows_with_the_square() -> None:
    pool = SmallPool(2)
    policy = scorer(attention_seconds_per_token_squared=1e-5)
    assert costs(pool, policy, cycle_of(pool, 100, {1: 5})) == [0.2, 0.05 + 0.075]


def test_a_prefill_harms_those_that_are_there() -> None:
    pool = SmallPool(2)
    pool.hold(0, 4)
    assert costs(pool, scorer(harm_per_request=0.5), cycle_of(pool, 100)) == [pytest.approx(0.3), 0.1]


def test_requests_of_others_count_while_the_scrape_is_fresh() -> None:
    pool, policy = SmallPool(2), scorer(harm_per_request=0.5)
    send(pool, policy, 0, 1)
    pool.report(0, running=4)
    pool.now += 1.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.3), 0.1], "one of the four is ours"
    pool.now += 60.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.15), 0.1], "a silent pod has our own only"


def test_what_was_ours_at_the_scrape_and_has_ended_since_does_not_count() -> None:
    pool, policy = SmallPool(2), scorer(harm_per_request=0.5)
    ours = [send(pool, policy, 0, 1) for _ in range(4)]
    pool.report(0, running=4)
    for reservation in ours:
        end(pool, policy, reservation)
    pool.now += 0.1
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_decode_steps_get_longer_for_everybody() -> None:
    pool = SmallPool(2)
    pool.ledger.reserve(pool.slot(0), 1000)
    policy = scorer(decode_weight=1.0, kv_seconds_per_token=1e-6, sequence_seconds_per_step=1e-4)
    first, second = costs(pool, policy, cycle_of(pool, 100))
    slower_for_me = 1e-6 * 1000 + 1e-4
    slower_for_it = 1e-6 * 100 + 1e-4
    assert first - second == pytest.approx(100 * (slower_for_me + slower_for_it))


def test_a_request_that_ends_early_slows_decoding_less() -> None:
    pool = SmallPool(2)
    pool.ledger.reserve(pool.slot(0), 1000)
    policy = scorer(decode_weight=1.0, kv_seconds_per_token=1e-6)
    long, _ = costs(pool, policy, cycle_of(pool, 100))
    short, _ = costs(pool, policy, cycle_of(pool, 100, max_tokens=10))
    assert long - 0.1 == pytest.approx(10 * (short - 0.1), abs=1e-5)


def test_a_full_cache_makes_requests_wait() -> None:
    pool, policy = SmallPool(2), scorer(kv_wait_weight=1.0)
    for number in range(2):
        pool.report(number, kv_blocks=100, kv_block_tokens=10)
    send(pool, policy, 0, 900, text=1)
    pool.now += 1.0
    first, second = costs(pool, policy, cycle_of(pool, 100))
    occupancy = 900 + 100 + 2 * 100
    assert second == 0.1
    assert first == pytest.approx(0.1 + 2 * (occupancy - 1000) / occupancy * 100 * 0.01, abs=1e-5)


def test_beginnings_that_requests_share_fill_the_cache_once() -> None:
    pool, policy = SmallPool(2), scorer(kv_wait_weight=1.0)
    for number in range(2):
        pool.report(number, kv_blocks=150, kv_block_tokens=10)
    for _ in range(4):
        send(pool, policy, 0, 640, text=1)
    pool.now += 9.0
    whole = {0: 64}
    assert costs(pool, policy, cycle_of(pool, 640, whole, text=1))[0] == pytest.approx(0.001)
    assert costs(pool, policy, cycle_of(pool, 640, text=2))[0] > 0.64 + 0.1


def test_a_cache_that_others_fill_is_full_too() -> None:
    pool, policy = SmallPool(2), scorer(kv_wait_weight=1.0)
    pool.report(0, kv_blocks=100, kv_block_tokens=10, kv_usage=1.0)
    assert costs(pool, policy, cycle_of(pool, 100))[0] > 0.1
    pool.now += 60.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1], "long ago"


def test_context_above_the_mean_costs() -> None:
    pool = SmallPool(2)
    pool.ledger.reserve(pool.slot(0), 1000)
    policy = scorer(balance_weight=1.0, kv_seconds_per_token=1e-6)
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.1 + 500 * 1e-6 * 100), 0.1]


def test_recomputed_work_weighs_more_under_load() -> None:
    pool, policy = SmallPool(2), scorer(load_ceiling=3.0, load_window_seconds=10.0)
    for number in range(2):
        send(pool, policy, number, 5000)
    pool.now += 10.0
    quiet = scorer(load_ceiling=3.0)
    assert costs(pool, policy, cycle_of(pool, 100))[0] > 1.2 * costs(pool, quiet, cycle_of(pool, 100))[0]
    pool.now += 1000.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_a_new_endpoint_ramps_up() -> None:
    pool, policy = SmallPool(2), scorer(ramp_seconds=10.0)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1], "at the very start everybody is new"
    policy.forget_slot(pool.slot(1))
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.2]
    pool.now += 5.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, pytest.approx(0.15)]
    pool.now += 5.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_a_burst_of_equal_requests_goes_to_different_endpoints() -> None:
    pool, policy = SmallPool(4), scorer()
    taken = []
    for _ in range(4):
        cycle = cycle_of(pool, 100)
        number = int(np.argmax(policy.score(cycle, pool.candidates)))
        taken.append(number)
        policy.picked(cycle, pool.ledger.reserve(pool.slot(number), 100))
    assert sorted(taken) == [0, 1, 2, 3]


def test_a_cached_prompt_stays_until_the_backlog_is_longer_than_computing_it_anew() -> None:
    pool, policy = SmallPool(2), scorer()
    send(pool, policy, 0, 80)
    scores = policy.score(cycle_of(pool, 100, {0: 10}), pool.candidates)
    assert scores.tolist() == [1.0, 0.0]
    send(pool, policy, 0, 80)
    assert policy.score(cycle_of(pool, 100, {0: 10}), pool.candidates).tolist() == [0.0, 1.0]


def test_absurd_metrics_leave_finite_costs() -> None:
    pool = SmallPool(3)
    pool.report(0, running=float("inf"), waiting=float("nan"), kv_usage=float("nan"), kv_blocks=1)
    pool.report(1, kv_usage=1e300, kv_blocks=10**9)
    found = ExpectedCostScorer(ExpectedCostParameters(prefix_match_info_producer_name=PRODUCER)).score(
        cycle_of(pool, 100), Candidates(pool.snapshot)
    )
    assert np.isfinite(found).all()


@given(data=st.data())
@settings(max_examples=150)
def test_few_candidates_cost_what_they_cost_among_many(data: st.DataObject) -> None:
    number = st.integers(0, 6)
    pool = SmallPool(data.draw(st.integers(1, 6)))
    policy = scorer(
        attention_seconds_per_token_squared=1e-6,
        kv_seconds_per_token=1e-6,
        sequence_seconds_per_step=1e-4,
        harm_per_request=0.3,
        decode_weight=0.5,
        kv_wait_weight=2.0,
        balance_weight=1.0,
        load_ceiling=3.0,
        lora_weight=1.0,
    )
    for _ in range(2):
        for index in range(len(pool.endpoints)):
            blocks = data.draw(st.sampled_from([0, 20, 1000]))
            adapters = data.draw(st.sampled_from([(), ("adapter",), ("other",)]))
            pool.report(
                index,
                waiting=data.draw(number),
                running=data.draw(number),
                running_adapters=adapters,
                kv_blocks=blocks,
                kv_usage=0.5,
                max_adapters=2.0,
            )
            policy.load_noted(pool.slot(index), LoadReport(running_adapters=adapters), pool.now)
            for _ in range(data.draw(st.integers(0, 3))):
                send(pool, policy, index, data.draw(st.sampled_from([1, 100, 900])))
        pool.now += 0.05
        cached = {index: data.draw(number) for index in range(len(pool.endpoints)) if data.draw(st.booleans())}
        tokens, output = data.draw(st.sampled_from([0, 1, 100, 900])), data.draw(st.sampled_from([1, 100]))
        model = data.draw(st.sampled_from(["base", "adapter"]))
        cycle = cycle_of(pool, tokens, cached, max_tokens=output, model=model)
        candidates = Candidates(cycle.snapshot)
        many = policy.costs_s(cycle, candidates)
        plain = policy.plain_costs_s(cycle, candidates)
        assert plain == pytest.approx(many.tolist(), rel=1e-9, abs=1e-12)
        assert policy.score_plainly(cycle, candidates) == pytest.approx(policy.score(cycle, candidates).tolist())
