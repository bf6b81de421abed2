"""expected-cost-scorer: sends a request where it costs everybody the fewest seconds.

    J = backlog + own * (1 + g + harmPerRequest * n) + decodeWeight * E * decode + kvWaitWeight * kv_wait
        + loraWeight * lora + balanceWeight * max(0, c - mean c) * kvSecondsPerToken * E

over the candidates, in seconds; score = (max J - J) / (max J - min J), 1 when all are equal. Per endpoint:
    backlog   prefill seconds of our own requests there without a first token, less what time has worked off, and of
              requests of others that wait there, each as long as ours usually are
    own       prefill seconds of the uncached part of this prompt: linear in its tokens, and attention's square term
    n         requests in flight: ours, and what the last scrape showed beyond ours
    c         context tokens in flight: ours, and what the last scrape showed beyond ours
    decode    seconds that a step gets longer, for this request and by this request for the n others
    kv_wait   2 * overflow / occupancy * E * stepSeconds, where prompts and answers in flight exceed the KV cache;
              beginnings that requests share count once
    lora      0 if the request's adapter is there or the model is none; its load time if a place is free; else also
              the time until the least used adapter has drained
    E         output tokens to expect of the model, at most the request's own limit
    g         min(loadCeiling, rho / (1 - rho)), rho the work dispatched per endpoint-second (moving average): at low
              load the quickest answer counts, at high load recomputed work delays everybody
What a scrape showed counts while it is fresh. The coefficients begin as the parameters say and are learned while
serving (`cost.coefficients`). An endpoint that is new counts rampSeconds long as if the mean cost came on top, less
and less: zero load and an empty cache must not draw everything.
Source: the cost that came out best of the policies compared in bench/simulate; the defaults are Llama-3.1-8B on an
H100.
"""

from operator import add
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import Reservation
from epp.core.scheduling.cost.books import CostBooks
from epp.core.scheduling.cost.coefficients import Coefficients
from epp.core.scheduling.cost.groups import Cost
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import FEW, Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch, prefix_match
from epp.core.scheduling.scorers.normalize import lower_is_better, lower_is_better_plainly
from epp.core.state.columns import Derived, FloatColumn

ZERO: Final = np.zeros(())
"""an array, because numpy takes longer to look at a plain number than to compare short arrays"""


class ExpectedCostScorer:
    """Scorer with books of its own: see the module and `cost.books`."""

    learns_from_answers = True

    def __init__(self, parameters: ExpectedCostParameters) -> None:
        self._parameters = parameters
        self._producer = parameters.prefix_match_info_producer_name
        self._books = CostBooks(parameters)
        self._rows = _Rows()
        self._per_token_s = parameters.prefill_seconds_per_token
        self._per_square_s = parameters.attention_seconds_per_token_squared
        # What becomes of requests and pods is told to the books themselves.
        self.moved = self._books.moved
        self.first_token = self._books.first_token
        self.released = self._books.released
        self.finished = self._books.finished
        self.load_noted = self._books.load_noted
        self.forget_slot = self._books.forget_slot

    @property
    def open_count(self) -> int:
        """Entries in the books; 0 when nothing is in flight."""
        return self._books.open_count

    def coefficients_of(self, slot: int) -> Coefficients:
        """What was learned of the group of the slot's owner."""
        return self._books.groups.learner_of(slot).coefficients

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return lower_is_better(self.costs_s(cycle, candidates))

    def score_plainly(self, cycle: Cycle, candidates: Candidates) -> list[float] | None:
        """See PlainScorer."""
        costs = self.plain_costs_s(cycle, candidates)
        return None if costs is None else lower_is_better_plainly(costs)

    def costs_s(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """J of every candidate in seconds, shape (candidates,)."""
        self._books.reserve_slots(len(cycle.snapshot.load))
        costs = self._costs_of_many(cycle, candidates)
        return self._books.ramp.add_to(costs, candidates.slots, cycle.now)

    def plain_costs_s(self, cycle: Cycle, candidates: Candidates) -> list[float] | None:
        """The same in plain numbers, which takes a third of the time for ten candidates.

        None where pods are new or of several kinds, or a scrape is stale.
        """
        books, slots, load, now = self._books, candidates.slots, cycle.snapshot.load, cycle.now
        if self._parameters.group_label or not books.ramp.is_over(now):
            return None
        updated_at: list[float] = load.updated_at.take(slots).tolist()
        oldest = now - cycle.snapshot.metrics_stale_after_s
        for scraped_at in updated_at:
            if scraped_at < oldest:
                return None
        books.reserve_slots(len(load))
        coefficients, output = books.groups.everybody, self._output_tokens(cycle)
        harm, alone, per_waiting, *by_kv = self._terms(cycle, output, coefficients.kv_s)
        per_request, per_context, per_above = float(by_kv[0]), float(by_kv[1]), float(by_kv[2])
        harm, alone = harm * coefficients.prefill_scale, alone * coefficients.prefill_scale
        answer_s, wanted = output * coefficients.step_s, cycle.tokens + output
        shown, others_tokens = self._rows.of(candidates, updated_at)
        in_flight: list[int] = cycle.ledger.requests.take(slots).tolist()
        tokens: list[int] = cycle.ledger.tokens.take(slots).tolist()
        busy_until: list[float] = books.backlog.busy_until.take(slots).tolist()
        held: list[float] = books.occupancy.tokens.take(slots).tolist()
        own_s = self._own_s_of_few(cycle, candidates)
        mean = (sum(tokens) + others_tokens) / len(tokens)
        costs: list[float] = []
        for at in range(len(own_s)):  # positions, because compiled numbers need no boxes that a zip would make
            others, others_waiting, context, used, capacity = shown[at]
            requests = in_flight[at] + others
            context += tokens[at]
            cost = (requests * harm + alone) * own_s[at] + requests * per_request + context * per_context
            cost += others_waiting * per_waiting
            if busy_until[at] > now:
                cost += busy_until[at] - now
            if context > mean:
                cost += (context - mean) * per_above
            occupied = held[at] + output * requests
            if capacity - occupied < wanted or capacity - used < wanted:
                slot = candidates.plain_slots[at]
                cost += self._kv_wait_s(cycle, slot, max(occupied, used), capacity, wanted) * answer_s
            costs.append(cost)
        if books.adapters.is_adapter(cycle.request.target_model):
            others_too = np.add([row[Derived.OTHERS] for row in shown], in_flight)
            contexts = np.add([row[Derived.OTHERS_TOKENS] for row in shown], tokens)
            step_s = coefficients.step_s + coefficients.kv_s * contexts
            step_s += self._parameters.sequence_seconds_per_step * others_too
            return list(map(add, costs, self._adapter_s(cycle, candidates, output * step_s).tolist()))
        return costs

    def _terms(self, cycle: Cycle, output: float, kv_s: Cost) -> tuple[float, float, float, Cost, Cost, Cost]:
        """What J multiplies, the same for all candidates of a request: of a request in flight as a share of `own`;
        1 + g; seconds per other request that waits, per request in flight, per token of context, and per token above
        the mean.
        """
        parameters, books = self._parameters, self._books
        load_factor = books.work.load_factor(len(cycle.snapshot.endpoints), parameters.load_ceiling, cycle.now)
        decode = parameters.decode_weight * output
        return (
            parameters.harm_per_request,
            1.0 + load_factor,
            books.work.usual_s,
            decode * (2.0 * parameters.sequence_seconds_per_step + kv_s * cycle.tokens),
            decode * kv_s,
            parameters.balance_weight * output * kv_s,
        )

    def _costs_of_many(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        parameters, books, slots = self._parameters, self._books, candidates.slots
        ledger, output = cycle.ledger, self._output_tokens(cycle)
        scale, step_s, kv_s = books.groups.costs_of(candidates)
        shown = self._shown(cycle, candidates)
        requests = ledger.requests.take(slots) + shown[Derived.OTHERS]
        context = ledger.tokens.take(slots) + shown[Derived.OTHERS_TOKENS]
        harm, alone, per_waiting, per_request, per_context, per_above = self._terms(cycle, output, kv_s)
        costs: FloatColumn = (requests * harm + alone) * (self._own_s(cycle, candidates) * scale)
        costs += np.maximum(books.backlog.busy_until.take(slots) - cycle.now, ZERO)
        costs += shown[Derived.OTHERS_WAITING] * per_waiting
        costs += requests * per_request
        costs += context * per_context
        costs += np.maximum(context - np.add.reduce(context) / len(context), ZERO) * per_above
        self._add_kv_wait(costs, cycle, candidates, _Answers(output, output * step_s, requests, shown))
        if books.adapters.is_adapter(cycle.request.target_model):
            answer_s = output * (step_s + kv_s * context + parameters.sequence_seconds_per_step * requests)
            costs += self._adapter_s(cycle, candidates, answer_s)
        return costs

    def _adapter_s(self, cycle: Cycle, candidates: Candidates, answer_s: FloatColumn) -> FloatColumn:
        """Seconds until the request's adapter can run, weighted."""
        parameters = self._parameters
        seconds = self._books.adapters.costs_s(cycle, candidates, parameters.lora_load_seconds, answer_s)
        return parameters.lora_weight * seconds

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """Books the request in the step that reserved its place (PickObserver)."""
        match = prefix_match(cycle, self._producer)
        self._books.reserve_slots(reservation.slot + 1)
        self._books.picked(cycle, reservation, match, self._own_there_s(cycle, reservation, match))

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        """Notes what was known at the pick (Learner)."""
        match = prefix_match(cycle, self._producer)
        self._books.learn(cycle, reservation, self._own_there_s(cycle, reservation, match))

    def _own_there_s(self, cycle: Cycle, reservation: Reservation, match: PrefixMatch) -> float:
        cached = match.by_slot.get(reservation.slot, 0) * match.block_tokens
        return self._prefill_s(cycle.tokens, cached)

    def _own_s(self, cycle: Cycle, candidates: Candidates) -> Cost:
        """Prefill seconds of the uncached part, as the parameters have it; the last token is always computed."""
        match = prefix_match(cycle, self._producer)
        tokens = cycle.tokens
        most = max(0, tokens - 1)
        if not match.by_slot:
            return self._parameters.prefill_s(tokens, 0.0)
        if len(candidates) > FEW:
            cached = np.minimum(match.matched_blocks(candidates.slots) * match.block_tokens, most)
            return self._parameters.prefill_s(tokens, cached)
        return np.array(self._own_s_of_few(cycle, candidates))

    def _own_s_of_few(self, cycle: Cycle, candidates: Candidates) -> list[float]:
        match, slots, tokens = prefix_match(cycle, self._producer), candidates.plain_slots, cycle.tokens
        if not match.by_slot:
            return [self._prefill_s(tokens, 0.0)] * len(slots)
        blocks_at, block_tokens = match.by_slot.get, match.block_tokens
        return [self._prefill_s(tokens, blocks_at(slot, 0) * block_tokens) for slot in slots]

    def _prefill_s(self, tokens: float, cached: float) -> float:
        """ExpectedCostParameters.prefill_s in plain numbers; the last token is always computed."""
        cached = _cached(tokens, cached)
        per_token, per_square = self._per_token_s, self._per_square_s
        return tokens * (per_token + per_square * tokens) - cached * (per_token + per_square * cached)

    def _shown(self, cycle: Cycle, candidates: Candidates) -> NDArray[np.float64]:
        """LoadColumns.derived, shape (Derived, candidates); of a stale scrape only the capacity counts."""
        load, slots = cycle.snapshot.load, candidates.slots
        shown: NDArray[np.float64] = load.derived.take(slots, axis=0).T
        updated_at, oldest = load.updated_at.take(slots), cycle.now - cycle.snapshot.metrics_stale_after_s
        if updated_at[updated_at.argmin()] < oldest:
            shown[: Derived.CAPACITY_TOKENS] *= updated_at >= oldest
        return shown

    def _output_tokens(self, cycle: Cycle) -> float:
        expected = self._books.lengths.expected(cycle.request.target_model)
        limit = cycle.request.max_tokens
        return expected if limit is None or limit <= 0 else min(expected, float(limit))

    def _add_kv_wait(self, costs: FloatColumn, cycle: Cycle, candidates: Candidates, answers: "_Answers") -> None:
        """Adds the seconds of waiting for room in the KV cache, where its size is known."""
        occupancy, tokens = self._books.occupancy, cycle.tokens
        occupied = occupancy.tokens.take(candidates.slots) + answers.output * answers.requests
        np.maximum(occupied, answers.shown[Derived.USED_TOKENS], out=occupied)
        room = answers.shown[Derived.CAPACITY_TOKENS] - occupied
        wanted = tokens + answers.output
        if room[room.argmin()] >= wanted:
            return
        answer_s = np.broadcast_to(answers.seconds, costs.shape)
        capacity = answers.shown[Derived.CAPACITY_TOKENS]
        for index in np.flatnonzero(room < wanted).tolist():
            slot = int(candidates.slots[index])
            costs[index] += self._kv_wait_s(cycle, slot, occupied[index], capacity[index], wanted) * answer_s[index]

    def _kv_wait_s(self, cycle: Cycle, slot: int, occupied: float, capacity: float, wanted: float) -> float:
        """Waiting for room in the KV cache, in answers: 2 * overflow / occupancy, weighted."""
        match = prefix_match(cycle, self._producer)
        shared = 0.0
        if slot in match.by_slot:
            shared = float(self._books.occupancy.shared_tokens(slot, match.chain, match.block_tokens))
        overflow = wanted - shared - (capacity - occupied)
        if overflow <= 0.0:
            return 0.0
        return self._parameters.kv_wait_weight * 2.0 * overflow / (occupied + wanted - shared)


def _cached(tokens: float, cached: float) -> float:
    """Of a prompt with so many tokens; the last one is always computed."""
    return cached if cached < tokens else max(0.0, tokens - 1.0)


class _Rows:
    """What scrapes showed of some candidates, as plain numbers; read anew when one of them was scraped again."""

    __slots__ = ("_candidates", "_rows", "_tokens", "_updated_at")

    def __init__(self) -> None:
        self._candidates: Candidates | None = None
        self._updated_at: list[float] = []
        self._rows: list[list[float]] = []
        self._tokens = 0.0

    def of(self, candidates: Candidates, updated_at: list[float]) -> tuple[list[list[float]], float]:
        """A row of LoadColumns.derived for each, and the sum of OTHERS_TOKENS; `updated_at` was read just before."""
        if candidates is not self._candidates or updated_at != self._updated_at:
            self._rows = candidates.snapshot.load.derived.take(candidates.slots, axis=0).tolist()
            self._tokens = sum([row[Derived.OTHERS_TOKENS] for row in self._rows])
            self._candidates, self._updated_at = candidates, updated_at
        return self._rows, self._tokens


class _Answers(NamedTuple):
    """What the request and those in flight are expected to be answered with."""

    output: float
    """tokens of one answer"""
    seconds: Cost
    """of an answer alone"""
    requests: FloatColumn
    """in flight"""
    shown: NDArray[np.float64]
    """see ExpectedCostScorer._shown"""
