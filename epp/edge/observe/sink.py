"""MetricSink of the metric catalogue. A request costs a few dictionary look-ups and list increments."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.domain.value import Value
from epp.edge.observe import families
from epp.edge.observe.cells import Histogram
from epp.edge.observe.endpoint_attempts import EndpointAttempts
from epp.edge.observe.exposition import Series
from epp.edge.observe.families import Dialect, Family
from epp.edge.observe.label_values import MOST_VALUES, BoundedValues
from epp.edge.observe.request_series import RequestSeries, RequestSeriesStore
from epp.edge.observe.rewrite_counts import RewriteCounts

MODEL_SERVER_ERROR: Final = "ModelServerError"
NO_ENDPOINT_FOUND: Final = "failed to find"
"""how the reference's texts begin where scheduling found nobody; a shed request was never scheduled"""
UNREAD: Final = InferenceRequest(request_id="")

Source = Callable[[], Iterable[Series]]


class RequestTotals(Value):
    """Requests since the start."""

    routed: int = 0
    finished: int = 0
    served_reported: int = 0
    """finished ones of which the gateway said who served them"""
    served_not_picked: int = 0
    bypassed: int = 0


class PrometheusSink:
    """MetricSink; every call comes from one thread, `bindings` may be read from another."""

    def __init__(self, dialect: Dialect = Dialect.GIE, *, most_label_values: int = MOST_VALUES) -> None:
        self._store = RequestSeriesStore(by_flow=dialect is not Dialect.GIE, most_values=most_label_values)
        self._attempts = EndpointAttempts()
        self._rewrites = RewriteCounts(most_label_values)
        self._scheduling = Histogram(families.SCHEDULER_S)
        self._open: dict[int, RequestSeries] = {}
        """sets of routed requests by serial of the reservation, so that a request ends in the set it began in"""
        self._disaggregation: dict[tuple[str, str], int] = {}
        """by stages and failed stage, a handful"""
        self._read = 0
        self._routed = 0
        self._finished = 0
        self._served_reported = 0
        self._served_not_picked = 0
        self._bypassed = 0
        self._scrape_failures: dict[str, int] = {}
        self._connections_ended: dict[str, int] = {}
        """by reason, a handful"""
        self._failure_kinds = BoundedValues(most_label_values)

    def known_names(self, names: Iterable[str]) -> None:
        """Names of objectives, rewrites and models in them: from now on these always have a series of their own."""
        known = frozenset(names)
        self._store.set_known(known)
        self._rewrites.set_known(known)

    def request_started(self, request: InferenceRequest) -> None:  # noqa: ARG002  one protocol for all sinks
        """Counts the request as read (MetricSink)."""
        self._read += 1

    def request_routed(self, decision: Decision) -> None:
        """Counts the request in the set of its final model and priority (MetricSink)."""
        request = decision.request
        series = self._store.of(request)
        counts, priority = series.requests, self._store.priority_label(request.priority)
        counts[priority] = counts.get(priority, 0) + 1
        series.running += 1
        series.request_bytes.observe(request.body_bytes)
        self._open[decision.reservation.serial] = series
        self._routed += 1
        self._scheduling.observe(decision.scheduler_s)
        if request.model_rewrite:
            self._rewrites.count(request.model_rewrite, series.key[0], series.key[1])
        self._attempts.succeeded(series.key[1], decision.endpoints[0])
        stages = decision.disaggregation
        if stages is not None:
            key = (stages.stages, stages.failed_stage)
            self._disaggregation[key] = self._disaggregation.get(key, 0) + 1

    def request_refused(self, request: InferenceRequest | None, refusal: Refusal) -> None:
        """Counts the error; without a request its labels are empty (MetricSink)."""
        series = self._store.of(request or UNREAD)
        series.errors[refusal.code] = series.errors.get(refusal.code, 0) + 1
        if refusal.message.startswith(NO_ENDPOINT_FOUND):
            self._attempts.failed(series.key[1])

    def request_finished(self, decision: Decision, report: RequestReport) -> None:
        """Counts how the request ended (MetricSink); a second call for the same request changes nothing."""
        series = self._open.pop(decision.reservation.serial, None)
        if series is None:
            return
        series.running -= 1
        self._finished += 1
        if report.served:
            self._served_reported += 1
            self._served_not_picked += report.served != decision.destination
        if report.status:
            series.duration.observe(report.duration_s)
        if report.status >= 400:
            series.errors[MODEL_SERVER_ERROR] = series.errors.get(MODEL_SERVER_ERROR, 0) + 1
        if report.response_bytes is not None:
            series.response_bytes.observe(report.response_bytes)
        if report.first_token_s is not None:
            streaming = decision.request.streaming
            (series.first_token_streamed if streaming else series.first_token_whole).observe(report.first_token_s)
        usage = report.usage
        if usage is not None:
            if usage.prompt_tokens:
                series.input_tokens.observe(usage.prompt_tokens)
            if usage.completion_tokens:
                series.output_tokens.observe(usage.completion_tokens)
                series.per_token.observe(report.duration_s / usage.completion_tokens)
            if usage.cached_tokens is not None:
                series.cached_tokens.observe(usage.cached_tokens)

    def picker_bypassed(self, destination: str) -> None:  # noqa: ARG002  the destination is for the log
        """Counts a response that was not routed by us (MetricSink)."""
        self._bypassed += 1

    def scrape_failed(self, kind: str) -> None:
        """A metrics page could not be read."""
        kind = self._failure_kinds.value(kind)
        self._scrape_failures[kind] = self._scrape_failures.get(kind, 0) + 1

    def connection_ended(self, reason: str) -> None:
        """A connection to one of the gRPC ports was ended because of what its peer did; `reason` is one of few."""
        self._connections_ended[reason] = self._connections_ended.get(reason, 0) + 1

    def forget_vanished(self, present: Iterable[Endpoint], now: float) -> None:
        """Drops series of endpoints that left the pool long ago; `now` in monotonic seconds."""
        self._attempts.forget_vanished(present, now)

    def totals(self) -> RequestTotals:
        """For the self-check."""
        return RequestTotals(
            routed=self._routed,
            finished=self._finished,
            served_reported=self._served_reported,
            served_not_picked=self._served_not_picked,
            bypassed=self._bypassed,
        )

    def bindings(self) -> list[tuple[Family, Source]]:
        """Which numbers stand behind which family."""
        return [
            (families.REQUESTS, lambda: self._counted(lambda series: series.requests, place=3)),
            (families.ERRORS, lambda: self._counted(lambda series: series.errors, place=4)),
            (families.RUNNING, self._running),
            (families.DURATION, lambda: self._observed(lambda series: series.duration)),
            (families.REQUEST_BYTES, lambda: self._observed(lambda series: series.request_bytes)),
            (families.RESPONSE_BYTES, lambda: self._observed(lambda series: series.response_bytes)),
            (families.INPUT_TOKENS, lambda: self._observed(lambda series: series.input_tokens)),
            (families.OUTPUT_TOKENS, lambda: self._observed(lambda series: series.output_tokens)),
            (families.CACHED_TOKENS, lambda: self._observed(lambda series: series.cached_tokens)),
            (families.PER_TOKEN, lambda: self._observed(lambda series: series.per_token)),
            (families.FIRST_TOKEN, self._first_tokens),
            (families.SCHEDULING, lambda: [((), self._scheduling)]),
            (families.ATTEMPTS, self._attempts.series),
            (families.MODEL_REWRITES, self._rewrites.series),
            (families.REQUESTS_READ, lambda: [((), self._read)]),
            (families.SERVED_NOT_PICKED, lambda: [((), self._served_not_picked)]),
            (families.DISAGGREGATION, lambda: tuple(self._disaggregation.items())),
            (families.BYPASSED, lambda: [((), self._bypassed)]),
            (families.SCRAPE_FAILURES, self._scrapes),
            (families.CONNECTIONS_ENDED, self._ended_connections),
        ]

    def _counted(self, counts: Callable[[RequestSeries], dict[str, int]], *, place: int) -> Iterator[Series]:
        for series in self._store.all():
            for value, count in tuple(counts(series).items()):
                yield (*series.key[:place], value), count

    def _observed(self, histogram: Callable[[RequestSeries], Histogram]) -> Iterator[Series]:
        return ((series.key, histogram(series)) for series in self._store.all())

    def _first_tokens(self) -> Iterator[Series]:
        for series in self._store.all():
            yield (*series.key, "true"), series.first_token_streamed
            yield (*series.key, "false"), series.first_token_whole

    def _running(self) -> Iterator[Series]:
        return ((series.key, series.running) for series in self._store.all() if series.key[0])

    def _scrapes(self) -> Iterator[Series]:
        return (((kind,), count) for kind, count in tuple(self._scrape_failures.items()))

    def _ended_connections(self) -> Iterator[Series]:
        return (((reason,), count) for reason, count in tuple(self._connections_ended.items()))
