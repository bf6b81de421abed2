"""prefix-based-pd-decider: what the decode endpoint would have to compute itself."""

import pytest

from tests.support.staged_pool import StagedPool, disagg


def pool(parameters: str) -> StagedPool:
    decider = f"{{type: prefix-based-pd-decider, name: uncached, parameters: {{{parameters}}}}}"
    return StagedPool("prefill", "decode", policy=disagg("deciders: {prefill: uncached}", decider))


def is_split(pool: StagedPool, tokens: int, prompt: str = "x") -> bool:
    decision = pool.decide(prompt * (4 * tokens))
    pool.router.release(decision)
    for lesson in decision.lessons:
        lesson()
    return bool(decision.further)


@pytest.mark.parametrize(
    ("parameters", "tokens", "expected"),
    [
        ("nonCachedTokens: 100", 100, True),
        ("nonCachedTokens: 100", 99, False),
        ("nonCachedTokens: 0", 10_000, False),
        ("", 10_000, False),
        ("nonCachedTokens: 10, promptTokens: 100", 99, False),
        ("nonCachedTokens: 10, promptTokens: 100", 100, True),
    ],
)
def test_a_cold_prompt(parameters: str, tokens: int, expected: bool) -> None:
    assert is_split(pool(parameters), tokens) is expected


def test_what_the_decode_endpoint_has_is_not_computed_again() -> None:
    cached = pool("nonCachedTokens: 64")
    assert is_split(cached, 128)
    assert not is_split(cached, 128)
    assert not is_split(cached, 128 + 63)
    assert is_split(cached, 128 + 63 + 64 + 16)


def test_a_request_without_a_prompt_is_not_split() -> None:
    split = pool("nonCachedTokens: 1")
    assert split.decide("").further == ()
