"""What an engine's own sums say of the time between two scrapes: means, per slot."""

import msgspec

from epp.core.domain.ports import EngineTotals

SHORTEST_INTERVAL_S = 2.0
FEWEST_REQUESTS = 2.0


class EngineMeans(msgspec.Struct, frozen=True):
    """Means over one interval; None where the engine does not tell."""

    first_token_s: float | None
    """seconds to prefill a request, else seconds from its arrival to its first token"""
    token_gap_s: float | None
    """seconds between two output tokens"""
    computed_tokens: float | None
    """prompt tokens per request that were not found in the prefix cache"""
    prompt_tokens: float | None
    """per request"""
    output_tokens: float | None
    """per request"""
    requests_per_s: float


class EngineSums:
    """Remembers the last totals of each slot; at most one entry per slot."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, EngineTotals]] = {}

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner, whose sums begin anew."""
        self._last.pop(slot, None)

    def since_last(self, slot: int, totals: EngineTotals, now: float) -> EngineMeans | None:
        """Means since the totals that were last used; None while that is too short ago or nothing happened.

        Sums that went back (a restart) begin a new interval.
        """
        if totals.first_tokens is None and totals.prefills is None:
            return None
        last = self._last.get(slot)
        if last is None:
            self._last[slot] = (now, totals)
            return None
        interval_s = now - last[0]
        if interval_s < SHORTEST_INTERVAL_S:
            return None
        requests = _grown(totals.first_tokens, last[1].first_tokens) or _grown(totals.prefills, last[1].prefills)
        if requests is not None and requests < FEWEST_REQUESTS:
            return None
        self._last[slot] = (now, totals)
        return None if requests is None else _means(totals, last[1], requests, interval_s)


def _means(now: EngineTotals, then: EngineTotals, requests: float, interval_s: float) -> EngineMeans:
    first_token_s = _mean(_grown(now.prefill_s, then.prefill_s), _grown(now.prefills, then.prefills))
    if first_token_s is None:
        first_token_s = _mean(_grown(now.first_token_s, then.first_token_s), requests)
    prompt = _grown(now.prompt_tokens, then.prompt_tokens)
    cached = _grown(now.cached_tokens, then.cached_tokens) or 0.0
    return EngineMeans(
        first_token_s=first_token_s,
        token_gap_s=_mean(_grown(now.token_gap_s, then.token_gap_s), _grown(now.token_gaps, then.token_gaps)),
        computed_tokens=None if prompt is None else max(0.0, prompt - cached) / requests,
        prompt_tokens=_mean(prompt, requests),
        output_tokens=_mean(_grown(now.output_tokens, then.output_tokens), requests),
        requests_per_s=requests / interval_s,
    )


def _grown(now: float | None, then: float | None) -> float | None:
    """By how much; None where it is not known or went back."""
    if now is None or then is None or now < then:
        return None
    return now - then


def _mean(total: float | None, count: float | None) -> float | None:
    return total / count if total is not None and count else None
