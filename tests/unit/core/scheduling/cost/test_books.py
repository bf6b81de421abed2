"""The books: what becomes of a request changes what the next one costs, and what is learned of it too."""

import pytest

from epp.core.domain.ports import EngineTotals, LoadReport
from tests.support.cost_pool import costs, cycle_of, end, finish, scorer, send
from tests.support.small_pool import SmallPool


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


def test_requests_of_others_that_wait_are_a_backlog_of_the_usual_length() -> None:
    pool, policy = SmallPool(2), scorer()
    send(pool, policy, 0, 200)
    pool.now += 1.0
    pool.report(1, waiting=3)
    assert costs(pool, policy, cycle_of(pool, 100)) == [0.1, pytest.approx(0.7)]


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
