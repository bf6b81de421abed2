"""The numbers of requests, one set per pair of models; per flow and priority too where the vocabulary shows them."""

from collections.abc import Iterable
from typing import Final

from epp.core.domain.request import InferenceRequest
from epp.edge.observe import families
from epp.edge.observe.cells import Histogram
from epp.edge.observe.label_values import OTHER, BoundedValues

MOST_SERIES: Final = 5_000
"""sets of numbers; beyond, what the operator did not configure becomes `other` altogether, beyond twice as many all"""
FlowKey = tuple[str, str, str, str]
"""label values of model, target model, fairness id, priority; the last two are empty unless `by_flow`"""


class RequestSeries:
    """Everything that is counted about requests with the same key."""

    __slots__ = (
        "cached_tokens",
        "duration",
        "errors",
        "first_token_streamed",
        "first_token_whole",
        "input_tokens",
        "key",
        "output_tokens",
        "per_token",
        "request_bytes",
        "requests",
        "response_bytes",
        "running",
    )

    def __init__(self, key: FlowKey) -> None:
        self.key = key
        self.requests: dict[str, int] = {}
        """by label value of the priority"""
        self.errors: dict[str, int] = {}
        """by error code"""
        self.running = 0
        self.duration = Histogram(families.LATENCY_S)
        self.request_bytes = Histogram(families.REQUEST_SIZES)
        self.response_bytes = Histogram(families.RESPONSE_SIZES)
        self.input_tokens = Histogram(families.PROMPT_TOKENS_BUCKETS)
        self.output_tokens = Histogram(families.OUTPUT_TOKENS_BUCKETS)
        self.cached_tokens = Histogram(families.PROMPT_TOKENS_BUCKETS)
        self.per_token = Histogram(families.PER_TOKEN_S)
        self.first_token_streamed = Histogram(families.LATENCY_S)
        self.first_token_whole = Histogram(families.LATENCY_S)


class RequestSeriesStore:
    """Finds the set of a request, and keeps the number of sets bounded."""

    def __init__(self, *, by_flow: bool, most_values: int, most_series: int = MOST_SERIES) -> None:
        self._by_flow = by_flow
        self._most_series = most_series
        self._models = BoundedValues(most_values)
        self._flows = BoundedValues(most_values)
        self._priorities = BoundedValues(most_values)
        self._by_key: dict[FlowKey, RequestSeries] = {}
        self._shortcuts: dict[tuple[str, str, str, int], RequestSeries] = {}
        """for requests whose own values are the label values, so never more than there are sets"""

    def set_known(self, names: Iterable[str]) -> None:
        """Names of models that always have a place."""
        self._models.set_known(names)

    def of(self, request: InferenceRequest) -> RequestSeries:
        """The set that the request counts in."""
        model = request.model
        target = request.target_model or model
        claimed = (model, target, request.fairness_id, request.priority) if self._by_flow else (model, target, "", 0)
        return self._shortcuts.get(claimed) or self._find(claimed)

    def priority_label(self, priority: int) -> str:
        """Label value of a priority."""
        return self._priorities.value(str(priority))

    def all(self) -> tuple[RequestSeries, ...]:
        """Every set; may be called from another thread."""
        return tuple(self._by_key.values())

    def _find(self, claimed: tuple[str, str, str, int]) -> RequestSeries:
        model, target = self._models.value(claimed[0]), self._models.value(claimed[1])
        fairness_id = self._flows.value(claimed[2])
        priority = self.priority_label(claimed[3]) if self._by_flow else ""
        if len(self._by_key) >= self._most_series and (model, target, fairness_id, priority) not in self._by_key:
            are_known = self._models.is_known(model) and self._models.is_known(target)
            if not are_known or len(self._by_key) >= 2 * self._most_series:
                model = target = OTHER
            fairness_id = OTHER if self._by_flow else ""
        key = (model, target, fairness_id, priority)
        series = self._by_key.get(key)
        if series is None:
            series = self._by_key[key] = RequestSeries(key)
        if key == (*claimed[:3], str(claimed[3]) if self._by_flow else ""):
            self._shortcuts[claimed] = series
        return series
