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

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import Reservation
from epp.core.scheduling.cost.books import CostBooks
from epp.core.scheduling.cost.coefficients import Coefficients
from epp.core.scheduling.cost.groups import Cost
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import FEW, PrefixMatch, prefix_match
from epp.core.scheduling.scorers.normalize import lower_is_better
from epp.core.state.columns import Derived, FloatColumn

ZERO = np.zeros(())
"""an array, because numpy takes longer to look at a plain number than to compare short arrays"""


class ExpectedCostScorer:
    """Scorer with books of its own: see the module and `cost.books`."""

    learns_from_answers = True

    def __init__(self, parameters: ExpectedCostParameters) -> None:
        self._parameters = parameters
        self._producer = parameters.prefix_match_info_producer_name
        self._books = CostBooks(parameters)
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

    def costs_s(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """J of every candidate in seconds, shape (candidates,)."""
        books, now = self._books, cycle.now
        books.reserve_slots(len(cycle.snapshot.load))
        output = self._output_tokens(cycle)
        is_adapter = books.adapters.is_adapter(cycle.request.target_model)
        few = None
        if len(candidates) <= FEW and not is_adapter and not self._parameters.group_label:
            few = self._costs_of_few(cycle, candidates, output)
        costs = self._costs_of_many(cycle, candidates, output, is_adapter=is_adapter) if few is None else np.array(few)
        return books.ramp.add_to(costs, candidates.slots, now)

    def _terms(self, cycle: Cycle, output: float, kv_s: Cost) -> "_Terms":
        parameters, books = self._parameters, self._books
        load_factor = books.work.load_factor(len(cycle.snapshot.endpoints), parameters.load_ceiling, cycle.now)
        decode = parameters.decode_weight * output
        return _Terms(
            harm=parameters.harm_per_request,
            alone=1.0 + load_factor,
            per_other_waiting=books.work.usual_s,
            per_request=decode * (2.0 * parameters.sequence_seconds_per_step + kv_s * cycle.tokens),
            per_context=decode * kv_s,
            per_context_above_mean=parameters.balance_weight * output * kv_s,
        )

    def _costs_of_many(self, cycle: Cycle, candidates: Candidates, output: float, *, is_adapter: bool) -> FloatColumn:
        """All candidates at once, which pays from a few dozens on."""
        parameters, books, slots = self._parameters, self._books, candidates.slots
        ledger = cycle.ledger
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
        if is_adapter:
            answer_s = output * (step_s + kv_s * context + parameters.sequence_seconds_per_step * requests)
            load_s = parameters.lora_load_seconds
            costs += parameters.lora_weight * books.adapters.costs_s(cycle, candidates, load_s, answer_s)
        return costs

    def _costs_of_few(self, cycle: Cycle, candidates: Candidates, output: float) -> list[float] | None:
        """The same in plain numbers, which takes half as long for ten candidates; None where a scrape is stale."""
        books, slots, ledger, load = self._books, candidates.slots, cycle.ledger, cycle.snapshot.load
        if min(load.updated_at.take(slots).tolist()) < cycle.now - cycle.snapshot.metrics_stale_after_s:
            return None
        coefficients = books.groups.everybody
        terms = self._terms(cycle, output, coefficients.kv_s)
        scale, own = coefficients.prefill_scale, self._own_s_of_few(cycle, candidates)
        harm, alone, per_waiting, per_request, per_context, per_above = terms
        shown = load.derived.take(slots, axis=0).tolist()
        contexts = [
            tokens + others_tokens
            for tokens, (_, _, others_tokens, _, _) in zip(ledger.tokens.take(slots).tolist(), shown, strict=True)
        ]
        mean, now, seconds_of_answer = sum(contexts) / len(contexts), cycle.now, output * coefficients.step_s
        wanted = cycle.tokens + output
        rows = zip(
            slots.tolist(),
            shown,
            ledger.requests.take(slots).tolist(),
            contexts,
            own,
            books.backlog.busy_until.take(slots).tolist(),
            books.occupancy.tokens.take(slots).tolist(),
            strict=True,
        )
        costs = []
        for slot, (others, others_waiting, _, used, capacity), ours, context, own_s, busy_until, held in rows:
            requests = ours + others
            cost = (
                (requests * harm + alone) * own_s * scale
                + others_waiting * per_waiting
                + requests * per_request
                + context * per_context
            )
            if busy_until > now:
                cost += busy_until - now
            if context > mean:
                cost += (context - mean) * per_above
            occupied = held + output * requests
            occupied = max(occupied, used)
            if capacity - occupied < wanted:
                cost += self._kv_wait_s(cycle, slot, occupied, capacity, wanted) * seconds_of_answer
            costs.append(cost)
        return costs

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
        tokens = cycle.tokens
        cached = min(match.by_slot.get(reservation.slot, 0) * match.block_tokens, max(0, tokens - 1))
        return self._parameters.prefill_s(tokens, cached)

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
        match = prefix_match(cycle, self._producer)
        tokens = cycle.tokens
        if not match.by_slot:
            return [self._parameters.prefill_s(tokens, 0.0)] * len(candidates)
        most = max(0, tokens - 1)
        blocks_of, block_tokens = match.by_slot.get, match.block_tokens
        blocks = [blocks_of(slot, 0) for slot in candidates.slots.tolist()]
        seconds = {each: self._parameters.prefill_s(tokens, min(each * block_tokens, most)) for each in set(blocks)}
        return [seconds[each] for each in blocks]

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
            shared = self._books.occupancy.shared_tokens(slot, match.chain, match.block_tokens)
        overflow = wanted - shared - (capacity - occupied)
        if overflow <= 0.0:
            return 0.0
        return self._parameters.kv_wait_weight * 2.0 * overflow / (occupied + wanted - shared)


class _Terms(NamedTuple):
    """What J multiplies, the same for all candidates of a request."""

    harm: float
    """of a request in flight, as a share of `own`"""
    alone: float
    """1 + g"""
    per_other_waiting: float
    """seconds, as all that follow"""
    per_request: Cost
    per_context: Cost
    per_context_above_mean: Cost


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
