"""Rollouts of a training step come at once: how often a prompt is computed, with the window and without."""

from random import Random

from tests.support.burst_pool import BurstPool

PROMPTS, SAMPLES, ENDPOINTS = 16, 8, 4


def burst(pool: BurstPool) -> None:
    """16 new prompts, 8 samples of each, mixed, within 50 ms; the window lasts 100."""
    names = [(prompt, sample) for prompt in range(PROMPTS) for sample in range(SAMPLES)]
    Random(3).shuffle(names)
    for prompt, sample in names:
        pool.ask(f"{prompt}/{sample}", f"{prompt:04d}" * 64 * (1 + prompt % 4))
        pool.pass_time(0.05 / len(names))


def computed(pool: BurstPool) -> int:
    """Pairs of a prompt and an endpoint that has to compute it."""
    return len({(name.partition("/")[0], pod) for name, pod in pool.where.items()})


def test_every_prompt_is_computed_once_and_the_load_is_even() -> None:
    pool = BurstPool(ENDPOINTS)
    burst(pool)
    assert not pool.decisions, "everybody waits"
    pool.pass_time(0.06)
    assert computed(pool) == PROMPTS
    assert pool.counts == [PROMPTS * SAMPLES // ENDPOINTS] * ENDPOINTS


def test_without_a_window_it_is_computed_nearly_everywhere() -> None:
    pool = BurstPool(ENDPOINTS)
    pool.router.take_over(())
    burst(pool)
    assert computed(pool) > 3 * PROMPTS


def test_a_limit_per_endpoint_computes_it_on_a_few() -> None:
    pool = BurstPool(ENDPOINTS, max_per_replica=4)
    burst(pool)
    pool.pass_time(0.06)
    assert computed(pool) == 2 * PROMPTS
    assert pool.counts == [PROMPTS * SAMPLES // ENDPOINTS] * ENDPOINTS


def test_behind_queues_everybody_goes_in_the_end() -> None:
    """Two places on each endpoint: who waits longer than its placement's endpoint is busy goes where there is room."""
    pool = BurstPool(ENDPOINTS, each=2)
    burst(pool)
    pool.pass_time(0.06)
    served = 0
    while pool.decisions:
        assert pool.ledger.open_count <= 2 * ENDPOINTS
        pool.end(next(iter(pool.decisions)))
        served += 1
    assert served == PROMPTS * SAMPLES
    assert (len(pool.tickets), len(pool.router), pool.ledger.open_count) == (0, 0, 0)
