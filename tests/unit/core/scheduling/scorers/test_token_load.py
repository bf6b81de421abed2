import pytest

from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.scorers.token_load import TokenLoadParameters, TokenLoadScorer
from tests.support.small_pool import SmallPool, text_request

TOKENS_160 = text_request("x" * 640)


@pytest.mark.parametrize(
    ("request_", "held_tokens", "matched", "threshold", "scores"),
    [
        (InferenceRequest("r"), (0, 0), {}, 1000, [1.0, 1.0]),
        (InferenceRequest("r"), (0, 250), {}, 1000, [1.0, 0.75]),
        (InferenceRequest("r"), (2000, 1000), {}, 1000, [0.0, 0.0]),
        (TOKENS_160, (0, 0), {}, 1600, [0.9, 0.9]),
        (TOKENS_160, (0, 0), {1: 5}, 1600, [0.9, 0.95]),
        (TOKENS_160, (0, 80), {1: 5}, 1600, [0.9, 0.9]),
        (TOKENS_160, (0, 0), {1: 10}, 1600, [0.9, 1.0]),
        (TOKENS_160, (0, 0), {1: 99}, 1600, [0.9, 1.0]),
    ],
)
def test_formula(
    request_: InferenceRequest,
    held_tokens: tuple[int, ...],
    matched: dict[int, int],
    threshold: int,
    scores: list[float],
) -> None:
    pool = SmallPool(2)
    for number, tokens in enumerate(held_tokens):
        pool.ledger.reserve(pool.slot(number), tokens)
    match = PrefixMatch(list(range(10)), 16, {pool.slot(number): blocks for number, blocks in matched.items()})
    parameters = TokenLoadParameters(queue_threshold_tokens=threshold, prefix_match_info_producer_name="index")

    found = TokenLoadScorer(parameters).score(pool.cycle(request_, index=match), pool.candidates)
    assert found.tolist() == pytest.approx(scores)
