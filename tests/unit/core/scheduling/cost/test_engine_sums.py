"""Means between two readings of an engine's sums."""

import pytest

from epp.core.domain.ports import NO_TOTALS, EngineTotals
from epp.core.scheduling.cost.engine_sums import EngineSums

FIRST = EngineTotals(
    first_token_s=10.0,
    first_tokens=100.0,
    prefill_s=5.0,
    prefills=100.0,
    token_gap_s=50.0,
    token_gaps=5000.0,
    prompt_tokens=100_000.0,
    cached_tokens=40_000.0,
    output_tokens=5100.0,
)
SECOND = EngineTotals(
    first_token_s=12.0,
    first_tokens=110.0,
    prefill_s=6.0,
    prefills=110.0,
    token_gap_s=70.0,
    token_gaps=6000.0,
    prompt_tokens=120_000.0,
    cached_tokens=45_000.0,
    output_tokens=6110.0,
)


def test_means_of_what_happened_since_the_last_reading() -> None:
    sums = EngineSums()
    assert sums.since_last(0, FIRST, 100.0) is None
    means = sums.since_last(0, SECOND, 105.0)
    assert means is not None
    assert means.first_token_s == pytest.approx(0.1)
    assert means.token_gap_s == pytest.approx(0.02)
    assert (means.prompt_tokens, means.computed_tokens) == (2000.0, 1500.0)
    assert means.output_tokens == pytest.approx(101.0)
    assert means.requests_per_s == pytest.approx(2.0)


def test_without_prefill_times_the_times_to_first_token_are_taken() -> None:
    sums = EngineSums()
    sums.since_last(0, EngineTotals(first_token_s=10.0, first_tokens=100.0), 100.0)
    means = sums.since_last(0, EngineTotals(first_token_s=12.0, first_tokens=110.0), 105.0)
    assert means is not None
    assert means.first_token_s == pytest.approx(0.2)
    assert (means.token_gap_s, means.computed_tokens, means.output_tokens) == (None, None, None)


def test_too_short_an_interval_is_part_of_the_next_one() -> None:
    sums = EngineSums()
    sums.since_last(0, FIRST, 100.0)
    assert sums.since_last(0, SECOND, 101.0) is None
    means = sums.since_last(0, SECOND, 110.0)
    assert means is not None
    assert means.requests_per_s == pytest.approx(1.0)


def test_an_interval_without_requests_is_part_of_the_next_one() -> None:
    sums = EngineSums()
    sums.since_last(0, FIRST, 100.0)
    assert sums.since_last(0, FIRST, 110.0) is None
    means = sums.since_last(0, SECOND, 120.0)
    assert means is not None
    assert means.requests_per_s == pytest.approx(0.5)


def test_sums_that_went_back_begin_anew() -> None:
    sums = EngineSums()
    sums.since_last(0, SECOND, 100.0)
    assert sums.since_last(0, FIRST, 105.0) is None
    means = sums.since_last(0, SECOND, 110.0)
    assert means is not None
    assert means.first_token_s == pytest.approx(0.1)


def test_slots_are_apart_and_can_be_forgotten() -> None:
    sums = EngineSums()
    sums.since_last(0, FIRST, 100.0)
    assert sums.since_last(1, SECOND, 105.0) is None
    sums.forget_slot(0)
    assert sums.since_last(0, SECOND, 105.0) is None


def test_an_engine_without_such_metrics_says_nothing() -> None:
    sums = EngineSums()
    assert sums.since_last(0, NO_TOTALS, 100.0) is None
    assert sums.since_last(0, NO_TOTALS, 200.0) is None
