"""The expected cost in seconds: each term by itself, then the picks that follow."""

from typing import Any

import msgspec
import numpy as np
import pytest

from epp.core.domain.decision import Decision, Reservation, ScoreCard
from epp.core.domain.ports import EngineTotals, LoadReport, Outcome, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from tests.support.small_pool import SmallPool

PRODUCER = "matches"
ONLY_PREFILL = ExpectedCostParameters(
    prefill_seconds_per_token=0.001,
    attention_seconds_per_token_squared=0.0,
    kv_seconds_per_token=0.0,
    sequence_seconds_per_step=0.0,
    step_seconds=0.01,
    expected_output_tokens=100.0,
    harm_per_request=0.0,
    decode_weight=0.0,
    kv_wait_weight=0.0,
    balance_weight=0.0,
    load_ceiling=0.0,
    ramp_seconds=0.0,
    learn_coefficients=False,
    lora_weight=0.0,
    prefix_match_info_producer_name=PRODUCER,
)


def scorer(**changes: Any) -> ExpectedCostScorer:
    """Linear prefill of 1 ms a token and nothing else, but for `changes`."""
    return ExpectedCostScorer(msgspec.structs.replace(ONLY_PREFILL, **changes))


def cycle_of(
    pool: SmallPool,
    tokens: int,
    cached: dict[int, int] | None = None,
    *,
    max_tokens: int | None = None,
    model: str = "base",
    text: int = 0,
) -> Cycle:
    """A request of `tokens` prompt tokens, of which endpoint number n has `cached[n]` blocks of 10 tokens.

    Prompts of the same `text` number share their beginning.
    """
    prompt = Prompt(PromptKind.TOKEN_IDS, bytes(4 * tokens))
    blocks = {pool.slot(n): count for n, count in (cached or {}).items()}
    match = PrefixMatch([text * 10_000 + block for block in range(tokens // 10)], 10, blocks)
    cycle = pool.cycle(InferenceRequest("r", prompt=prompt, max_tokens=max_tokens, target_model=model))
    cycle.products[PRODUCER] = match
    return cycle


def send(
    pool: SmallPool, policy: ExpectedCostScorer, number: int, tokens: int, *, model: str = "base", text: int = 0
) -> Reservation:
    """The request of `tokens` goes to endpoint `number`, and what can be learned at once is learned."""
    cycle = cycle_of(pool, tokens, model=model, text=text)
    reservation = pool.ledger.reserve(pool.slot(number), tokens)
    policy.picked(cycle, reservation)
    policy.learn(cycle, reservation)
    return reservation


def end(pool: SmallPool, policy: ExpectedCostScorer, reservation: Reservation) -> None:
    """The request is over."""
    pool.ledger.release(reservation)
    policy.released(reservation, pool.now)


def costs(pool: SmallPool, policy: ExpectedCostScorer, cycle: Cycle) -> list[float]:
    return [round(float(cost), 6) for cost in policy.costs_s(cycle, pool.candidates)]


def test_the_uncached_part_of_the_prompt_costs_its_prefill() -> None:
    pool = SmallPool(3)
    assert costs(pool, scorer(), cycle_of(pool, 100, {1: 5, 2: 10})) == [0.1, 0.05, 0.001]


def test_attention_grows_with_the_square() -> None:
    pool = SmallPool(2)
    policy = scorer(attention_seconds_per_token_squared=1e-5)
    assert costs(pool, policy, cycle_of(pool, 100, {1: 5})) == [0.2, 0.05 + 0.075]


def test_what_was_sent_is_a_backlog_until_its_time_has_passed() -> None:
    pool, policy = SmallPool(2), scorer()
    send(pool, policy, 0, 400)
    send(pool, policy, 0, 100)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.6, 0.1]
    pool.now += 0.3
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.3, 0.1]
    pool.now += 5.0
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_a_first_token_ends_the_backlog_up_to_its_request() -> None:
    pool, policy = SmallPool(2), scorer()
    first, second = send(pool, policy, 0, 400), send(pool, policy, 0, 300)
    pool.now += 0.1
    policy.first_token(first, pool.now)
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.4), 0.1]
    policy.first_token(second, pool.now)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_a_request_that_ends_takes_its_backlog_along() -> None:
    pool, policy = SmallPool(2), scorer()
    end(pool, policy, send(pool, policy, 0, 400))
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


def test_books_follow_a_request_that_is_served_elsewhere() -> None:
    pool, policy = SmallPool(2), scorer(kv_wait_weight=1.0)
    for number in range(2):
        pool.report(number, kv_blocks=100, kv_block_tokens=10)
    reservation = send(pool, policy, 0, 900, text=1)
    pool.ledger.move(reservation, pool.slot(1))
    policy.moved(reservation, pool.slot(1), pool.now)
    here, there = costs(pool, policy, cycle_of(pool, 100))
    assert here == 0.1
    assert there > 0.9 + 0.1 + 0.1
    end(pool, policy, reservation)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1]


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


def test_requests_of_others_that_wait_are_a_backlog_of_the_usual_length() -> None:
    pool, policy = SmallPool(2), scorer()
    send(pool, policy, 0, 200)
    pool.now += 1.0
    pool.report(1, waiting=3)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, pytest.approx(0.7)]


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


def test_an_adapter_costs_its_load_time_where_it_is_not() -> None:
    pool, policy = SmallPool(2), scorer(lora_weight=1.0, lora_load_seconds=0.5)
    for number in range(2):
        pool.report(number, max_adapters=2)
    assert costs(pool, policy, cycle_of(pool, 100, model="tuned")) == [0.1, 0.1], "nobody knows it for an adapter"
    policy.load_noted(pool.slot(0), LoadReport(running_adapters=("tuned",)), pool.now)
    reservation = send(pool, policy, 1, 1, model="tuned")
    pool.now += 1.0
    assert costs(pool, policy, cycle_of(pool, 100, model="tuned")) == [0.6, 0.1]
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, 0.1], "the base model runs everywhere"
    end(pool, policy, reservation)
    assert costs(pool, policy, cycle_of(pool, 100, model="tuned")) == [0.6, 0.1], "it is still loaded"


def test_coefficients_are_learned_per_group_of_pods() -> None:
    kinds: list[dict[str, str]] = [{"gpu": "fast"}, {"gpu": "slow"}, {"gpu": "slow"}, {}]
    pool = SmallPool(4, labels=kinds)
    policy = scorer(learn_coefficients=True, group_label="gpu")
    costs(pool, policy, cycle_of(pool, 100))
    for _ in range(200):
        reservation = send(pool, policy, 1, 1000)
        pool.now += 3.0
        policy.first_token(reservation, pool.now)
        end(pool, policy, reservation)
    fast, slow, slow_too, neither = costs(pool, policy, cycle_of(pool, 100))
    assert fast == neither == 0.1
    assert slow == slow_too == pytest.approx(0.3, rel=0.1)


def finish(pool: SmallPool, policy: ExpectedCostScorer, reservation: Reservation, output_tokens: int) -> None:
    """The request is over, and its usage was seen."""
    end(pool, policy, reservation)
    request = InferenceRequest("r", target_model="base")
    card = ScoreCard("p", pool.endpoints, (), np.zeros(len(pool.endpoints)))
    decision = Decision(request, pool.endpoints[:1], "", reservation, card)
    usage = TokenUsage(completion_tokens=output_tokens)
    policy.finished(decision, RequestReport(Outcome.COMPLETE, 200, 0.0, 0, None, None, usage, ""))


def test_answers_tell_how_long_answers_are_and_steps_take() -> None:
    pool = SmallPool(2)
    policy = scorer(learn_coefficients=True, decode_weight=1.0, kv_seconds_per_token=1e-6, kv_wait_weight=1.0)
    for _ in range(200):
        reservation = send(pool, policy, 0, 100)
        pool.now += 0.13
        policy.first_token(reservation, pool.now)
        pool.now += 0.02 * 399
        finish(pool, policy, reservation, 400)
    pool.ledger.reserve(pool.slot(0), 1000)
    first, second = costs(pool, policy, cycle_of(pool, 100))
    assert first - second == pytest.approx(400 * 1e-6 * (1000 + 100), rel=0.2), "four times as many steps"


def test_an_answer_without_a_known_first_token_counts_too() -> None:
    pool, policy = SmallPool(1), scorer(learn_coefficients=True, kv_wait_weight=1.0)
    for _ in range(300):
        reservation = send(pool, policy, 0, 100)
        pool.now += 0.12 + 0.03 * 99
        finish(pool, policy, reservation, 100)
    pool.report(0, kv_blocks=1, kv_block_tokens=10)
    (cost,) = costs(pool, policy, cycle_of(pool, 100))
    assert cost == pytest.approx(0.1 + 2 * (190 / 200) * 100 * 0.03, rel=0.2)


def test_the_engine_tells_where_no_answer_is_seen() -> None:
    pool = SmallPool(2)
    policy = scorer(learn_coefficients=True)
    for reading in range(300):
        requests = 10.0 * reading
        totals = EngineTotals(
            prefill_s=0.415 * requests,
            prefills=requests,
            first_tokens=requests,
            prompt_tokens=200.0 * requests,
            cached_tokens=0.0,
        )
        pool.now += 5.0
        policy.load_noted(pool.slot(0), LoadReport(totals=totals), pool.now)
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.2, rel=0.2)] * 2


def test_first_tokens_count_more_than_what_the_engine_tells() -> None:
    pool, policy = SmallPool(1), scorer(learn_coefficients=True)
    for reading in range(100):
        reservation = send(pool, policy, 0, 1000)
        pool.now += 1.025
        policy.first_token(reservation, pool.now)
        end(pool, policy, reservation)
        totals = EngineTotals(prefill_s=900.0 * reading, prefills=10.0 * reading, prompt_tokens=2000.0 * reading)
        policy.load_noted(pool.slot(0), LoadReport(totals=totals), pool.now)
    assert costs(pool, policy, cycle_of(pool, 100)) == [pytest.approx(0.1, rel=0.1)]


def test_nothing_is_kept_of_requests_that_are_over() -> None:
    pool, policy = SmallPool(3), scorer(learn_coefficients=True)
    policy.load_noted(pool.slot(0), LoadReport(running_adapters=("tuned",)), pool.now)
    reservations = [send(pool, policy, number % 3, 50 * number, model="tuned", text=number) for number in range(30)]
    assert policy.open_count > 30
    for number, reservation in enumerate(reservations):
        if number % 4 == 0:
            policy.first_token(reservation, pool.now)
        if number % 5 == 0:
            pool.ledger.move(reservation, pool.slot(2))
            policy.moved(reservation, pool.slot(2), pool.now)
        pool.now += 0.01
        finish(pool, policy, reservation, number)
    assert policy.open_count == 0


def test_a_request_that_ended_before_it_was_learned_from_leaves_nothing() -> None:
    pool, policy = SmallPool(1), scorer(learn_coefficients=True)
    cycle, reservation = cycle_of(pool, 100), pool.ledger.reserve(pool.slot(0), 100)
    policy.picked(cycle, reservation)
    end(pool, policy, reservation)
    policy.learn(cycle, reservation)
    assert policy.open_count == 0


def test_absurd_metrics_leave_finite_costs() -> None:
    pool = SmallPool(3)
    pool.report(0, running=float("inf"), waiting=float("nan"), kv_usage=float("nan"), kv_blocks=1)
    pool.report(1, kv_usage=1e300, kv_blocks=10**9)
    found = ExpectedCostScorer(ExpectedCostParameters(prefix_match_info_producer_name=PRODUCER)).score(
        cycle_of(pool, 100), Candidates(pool.snapshot)
    )
    assert np.isfinite(found).all()
