"""Requests at a small pool under expected-cost-scorer, one by one: sent, ended, finished.

pool, policy = SmallPool(2), scorer(harm_per_request=0.5)
send(pool, policy, 0, 400)
costs(pool, policy, cycle_of(pool, 100))
"""

from typing import Any

import msgspec
import numpy as np

from epp.core.domain.decision import Decision, Reservation, ScoreCard
from epp.core.domain.ports import Outcome, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Cycle
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


def finish(pool: SmallPool, policy: ExpectedCostScorer, reservation: Reservation, output_tokens: int) -> None:
    """The request is over, and its usage was seen."""
    end(pool, policy, reservation)
    request = InferenceRequest("r", target_model="base")
    card = ScoreCard("p", pool.endpoints, (), np.zeros(len(pool.endpoints)))
    decision = Decision(request, pool.endpoints[:1], "", reservation, card)
    usage = TokenUsage(completion_tokens=output_tokens)
    policy.finished(decision, RequestReport(Outcome.COMPLETE, 200, 0.0, 0, None, None, usage, ""))
