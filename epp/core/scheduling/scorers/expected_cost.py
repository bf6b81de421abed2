"""expected-cost-scorer: sends a request where it costs everybody the fewest seconds.

    J = backlog + own * (1 + g + harmPerRequest * n) + decodeWeight * E * decode + kvWaitWeight * kv_wait
        + balanceWeight * max(0, c - mean c) * kvSecondsPerToken * E

over the candidates, in seconds; score = (max J - J) / (max J - min J), 1 when all are equal. Per endpoint:
    backlog   prefill seconds of our own requests there that are not worked off yet: every pick adds its `own`, the
              time that passes takes it away
    own       prefill seconds of the uncached part of this prompt: linear in its tokens, and attention's square term
    n         requests in flight: ours, at least what the last scrape showed
    c         context tokens in flight: ours, at least what the last scrape showed
    decode    seconds that a step gets longer, for this request and by this request for the n others
    kv_wait   2 * overflow / occupancy * E * stepSeconds, where prompts and answers in flight exceed the KV cache
    E         output tokens to expect, at most the request's own limit
    g         min(loadCeiling, rho / (1 - rho)), rho the work dispatched per endpoint-second (moving average): at low
              load the quickest answer counts, at high load recomputed work delays everybody
An endpoint that is new counts rampSeconds long as if the mean cost came on top, less and less: zero load and an empty
cache must not draw everything.
Source: the cost that came out best of the policies compared in bench/simulate; the defaults are Llama-3.1-8B on an
H100, and being wrong by a factor of two costs little.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.config.structure import Section
from epp.core.domain.decision import Reservation
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match
from epp.core.scheduling.scorers.normalize import lower_is_better
from epp.core.state.columns import FloatColumn

Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
MOST_REQUESTS = 1e6
MOST_TOKENS = 1e9
"""a scrape that says more is not believed"""
ALMOST_FULL = 0.99
"""rho above this counts as this"""


class ExpectedCostParameters(Section, frozen=True):
    """Coefficients of the model and the GPU in seconds, and the weights of the terms."""

    prefill_seconds_per_token: Positive = 25.65e-6
    attention_seconds_per_token_squared: NotNegative = 0.48e-9
    kv_seconds_per_token: NotNegative = 7.62e-8
    """time that one context token adds to a decode step"""
    sequence_seconds_per_step: NotNegative = 4.4e-6
    step_seconds: Positive = 0.00765
    """a decode step of a small batch"""
    expected_output_tokens: Positive = 343.0
    harm_per_request: NotNegative = 0.1
    decode_weight: NotNegative = 0.25
    kv_wait_weight: NotNegative = 3.0
    balance_weight: NotNegative = 1.0
    load_ceiling: NotNegative = 3.0
    load_window_seconds: Positive = 30.0
    ramp_seconds: NotNegative = 10.0
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""


class ExpectedCostScorer:
    """Keeps the backlog of every slot; `picked` books each request in the step that reserved its place."""

    def __init__(self, parameters: ExpectedCostParameters) -> None:
        self._parameters = parameters
        self._producer = parameters.prefix_match_info_producer_name
        self._busy_until: FloatColumn = np.zeros(16)
        self._born_at: FloatColumn = np.full(16, np.nan)
        self._work_s = 0.0
        self._work_at = 0.0
        self._is_first = True

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return lower_is_better(self.costs_s(cycle, candidates))

    def costs_s(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """J of every candidate in seconds, shape (candidates,)."""
        parameters, slots = self._parameters, candidates.slots
        self._make_room(int(slots.max()) + 1)
        tokens = cycle.request.token_count
        own_s = self._own_s(cycle, candidates)
        requests, context = self._in_flight(cycle, candidates)
        output = self._output_tokens(cycle)
        kv_s, sequence_s = parameters.kv_seconds_per_token, parameters.sequence_seconds_per_step
        decode_s = kv_s * context + sequence_s * requests + requests * (kv_s * tokens + sequence_s)
        costs = np.maximum(0.0, self._busy_until[slots] - cycle.now)
        costs += own_s * (1.0 + self._load_factor(cycle) + parameters.harm_per_request * requests)
        costs += parameters.decode_weight * output * decode_s
        costs += parameters.kv_wait_weight * self._kv_wait_s(
            cycle, candidates, context + tokens, output * (requests + 1)
        )
        costs += parameters.balance_weight * np.maximum(0.0, context - context.mean()) * kv_s * output
        return self._with_ramp(costs, slots, cycle.now)

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """Books the prefill of the request (PickObserver)."""
        slot, now = reservation.slot, cycle.now
        own_s = float(self._own_s(cycle, Candidates(cycle.snapshot, np.flatnonzero(cycle.snapshot.slots == slot)))[0])
        self._busy_until[slot] = max(now, self._busy_until[slot]) + own_s
        self._work_s = self._work_left_s(now) + own_s
        self._work_at = now

    def forget_slot(self, slot: int) -> None:
        """A new endpoint has an empty queue, and ramps up (SlotMemory)."""
        self._make_room(slot + 1)
        self._busy_until[slot] = 0.0
        self._born_at[slot] = np.nan

    def _own_s(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """Prefill seconds of the uncached part; the last token is always computed."""
        match = prefix_match(cycle, self._producer)
        tokens = cycle.request.token_count
        cached = np.minimum(match.matched_blocks(candidates.slots) * match.block_tokens, max(0, tokens - 1))
        parameters = self._parameters
        square = parameters.attention_seconds_per_token_squared * (tokens * tokens - cached * cached)
        own_s: FloatColumn = parameters.prefill_seconds_per_token * (tokens - cached) + square
        return own_s

    def _in_flight(self, cycle: Cycle, candidates: Candidates) -> tuple[FloatColumn, FloatColumn]:
        """Requests and context tokens; a scrape is a lower bound while it is fresh."""
        slots, load, ledger = candidates.slots, cycle.snapshot.load, cycle.ledger
        fresh = ~cycle.is_stale(candidates)
        reported = _believable(load.running[slots], MOST_REQUESTS) + _believable(load.waiting[slots], MOST_REQUESTS)
        used = _believable(load.kv_usage[slots], 1.0) * self._capacity_tokens(cycle, candidates)
        requests = np.maximum(ledger.requests[slots], np.where(fresh, reported, 0.0))
        return requests, np.maximum(ledger.tokens[slots], np.where(fresh, used, 0.0))

    def _capacity_tokens(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """Tokens that the KV cache holds, 0 where that is not known."""
        load, slots = cycle.snapshot.load, candidates.slots
        blocks = _believable(load.kv_blocks[slots], MOST_TOKENS)
        return np.minimum(blocks * _believable(load.kv_block_tokens[slots], MOST_TOKENS), MOST_TOKENS)

    def _output_tokens(self, cycle: Cycle) -> float:
        limit = cycle.request.max_tokens
        expected = self._parameters.expected_output_tokens
        return expected if limit is None or limit <= 0 else min(expected, float(limit))

    def _kv_wait_s(
        self, cycle: Cycle, candidates: Candidates, context: FloatColumn, answers: FloatColumn
    ) -> FloatColumn:
        """Seconds of waiting for room in the KV cache, 0 where its size is not known."""
        capacity = self._capacity_tokens(cycle, candidates)
        occupancy = context + answers
        overflow = np.where(capacity > 0.0, np.maximum(0.0, occupancy - capacity), 0.0)
        wait_s: FloatColumn = 2.0 * overflow / np.maximum(occupancy, 1.0)
        return wait_s * self._output_tokens(cycle) * self._parameters.step_seconds

    def _load_factor(self, cycle: Cycle) -> float:
        window_s = self._parameters.load_window_seconds
        rho = self._work_left_s(cycle.now) / (window_s * max(1, len(cycle.snapshot.endpoints)))
        rho = min(rho, ALMOST_FULL)
        return min(self._parameters.load_ceiling, rho / (1.0 - rho))

    def _work_left_s(self, now: float) -> float:
        """Dispatched prefill seconds, fading with the load window."""
        return self._work_s * float(np.exp(-max(0.0, now - self._work_at) / self._parameters.load_window_seconds))

    def _with_ramp(
        self, costs: FloatColumn, slots: np.ndarray[tuple[int], np.dtype[np.intp]], now: float
    ) -> FloatColumn:
        """Adds the mean cost to endpoints that are new, less and less; those of the very start are not new."""
        born_at = self._born_at[slots]
        unseen = np.isnan(born_at)
        if unseen.any():
            self._born_at[slots[unseen]] = -np.inf if self._is_first else now
            born_at = self._born_at[slots]
        self._is_first = False
        ramp_s = self._parameters.ramp_seconds
        age_s = now - born_at
        if not ramp_s or age_s.min() >= ramp_s:
            return costs
        young = np.maximum(0.0, 1.0 - age_s / ramp_s)
        ramped: FloatColumn = costs + young * costs.mean()
        return ramped

    def _make_room(self, slots: int) -> None:
        missing = slots - len(self._busy_until)
        if missing > 0:
            missing = max(missing, len(self._busy_until))
            self._busy_until = np.concatenate([self._busy_until, np.zeros(missing)])
            self._born_at = np.concatenate([self._born_at, np.full(missing, np.nan)])


def _believable(column: FloatColumn, most: float) -> FloatColumn:
    """Numbers from 0 to `most`; what is none counts as 0."""
    found: FloatColumn = np.clip(np.nan_to_num(column, nan=0.0, posinf=0.0, neginf=0.0), 0.0, most)
    return found
