"""Tells the service books how many tokens each finished request took.

Where the response was not shown to the picker, the prompt counts as it was estimated, and the answer as the moving
average of those that were seen (0 before the first), so that a tenant gains nothing by not being looked at.
"""

from collections.abc import Mapping, Sequence

from epp.core.domain.decision import Decision
from epp.core.domain.ports import RequestReport
from epp.core.flow.fairness.program_aware import ServiceBook

WEIGHT_OF_THE_NEWEST = 0.1


class ServedTokens:
    """See the module."""

    def __init__(self, books: Sequence[ServiceBook]) -> None:
        self._books = books
        self._mean_completion: float | None = None

    def record(self, decision: Decision, report: RequestReport, now: float) -> None:
        """A request is over; one that was never answered took nothing."""
        if not self._books or not 200 <= report.status < 300:
            return
        prompt, completion = self._tokens(decision, report)
        for book in self._books:
            book.record(decision.request.fairness_id, prompt, completion, now)

    def attained(self, now: float) -> Mapping[str, float]:
        """Tokens by tenant, decayed to `now`; with several books their sum."""
        attained: dict[str, float] = {}
        for book in self._books:
            for fairness_id in book.tenants:
                attained[fairness_id] = attained.get(fairness_id, 0.0) + book.service(fairness_id, now)
        return attained

    def _tokens(self, decision: Decision, report: RequestReport) -> tuple[int, int]:
        usage = report.usage
        prompt = decision.reservation.tokens
        mean = self._mean_completion
        if usage is None:
            return prompt, round(mean or 0.0)
        seen = usage.completion_tokens
        if seen is not None:
            self._mean_completion = seen if mean is None else mean + WEIGHT_OF_THE_NEWEST * (seen - mean)
        completion = round(mean or 0.0) if seen is None else seen
        return prompt if usage.prompt_tokens is None else usage.prompt_tokens, completion
