"""The last decisions and why they were made. Recording keeps references; words are made when somebody asks.

A record never holds a prompt or an exception: the one would keep a body alive, the other its whole call stack. The
request of a decision has none, and its lessons, which have, are cleared when they were learned.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from operator import itemgetter
from typing import Final

import msgspec

from epp.core.domain.decision import Decision, Disaggregation, ScoreCard, StagePick, plain
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import RequestReport
from epp.core.domain.request import InferenceRequest
from epp.edge.observe.explained import (
    ExplainedCandidate,
    ExplainedDecision,
    ExplainedEnd,
    ExplainedEndpoint,
    ExplainedRefusal,
    ExplainedStage,
)

MOST_RECORDS: Final = 1_000
MOST_SCORES: Final = 2_000_000
"""numbers kept by all records together, 16 MB; large pools keep fewer decisions"""
MOST_CANDIDATES_SHOWN: Final = 100
UNREAD: Final = InferenceRequest(request_id="", fairness_id="", method="", path="")
"""stands for one of which nothing is known"""


class _Record:
    """`decision` and `report` of a request that was routed, `refusal` of one that was not."""

    __slots__ = ("decision", "refusal", "report", "request", "scores", "when")

    def __init__(self, when: float, request: InferenceRequest | None, decision: Decision | None, scores: int) -> None:
        self.when = when
        self.request = request
        self.decision = decision
        self.scores = scores
        """numbers on the score cards"""
        self.refusal: tuple[str, str, str, str] | None = None
        self.report: RequestReport | None = None


class DecisionLog:
    """MetricSink that remembers; `wall_clock` gives seconds since 1970."""

    def __init__(
        self, wall_clock: Callable[[], float], *, most_records: int = MOST_RECORDS, most_scores: int = MOST_SCORES
    ) -> None:
        self._wall_clock = wall_clock
        self._most_records = most_records
        self._most_scores = most_scores
        self._records: deque[_Record] = deque()
        self._scores = 0
        self._under_way: dict[int, _Record] = {}
        """by serial of the reservation; only records that are still kept"""

    def __len__(self) -> int:
        return len(self._records)

    def request_started(self, request: InferenceRequest) -> None:
        """Nothing is decided yet (MetricSink)."""

    def request_routed(self, decision: Decision) -> None:
        """Remembers the decision (MetricSink)."""
        scores = _scores_on(decision.card)
        for pick in decision.further:
            scores += _scores_on(pick.card)
        record = _Record(self._wall_clock(), decision.request, decision, scores)
        self._under_way[decision.reservation.serial] = record
        self._keep(record)

    def request_refused(self, request: InferenceRequest | None, refusal: Refusal) -> None:
        """Remembers why (MetricSink)."""
        record = _Record(self._wall_clock(), request.without_prompt() if request else None, None, 0)
        reason = refusal.reason.value if refusal.reason else ""
        record.refusal = (refusal.code, refusal.message, refusal.hint, reason)
        self._keep(record)

    def request_finished(self, decision: Decision, report: RequestReport) -> None:
        """Adds the end to the record if it is still kept (MetricSink)."""
        record = self._under_way.pop(decision.reservation.serial, None)
        if record is not None:
            record.report = report

    def picker_bypassed(self, destination: str) -> None:
        """Nothing was decided here (MetricSink)."""

    def prepare(self, *, limit: int, request_id: str = "", model: str = "") -> Callable[[], list[dict[str, object]]]:
        """Chooses the newest records, at most `limit`; the returned rest of the work may run in a thread.

        `request_id` and `model` (as the client wrote it, or the target) restrict the choice unless empty.
        """
        chosen: list[_Record] = []
        for record in reversed(self._records):
            if len(chosen) >= limit:
                break
            request = record.request or UNREAD
            if request_id and request.request_id != request_id:
                continue
            if model and model not in (request.model, request.target_model):
                continue
            chosen.append(record)
        return lambda: [msgspec.to_builtins(_explained(record)) for record in chosen]

    def explain(self, *, limit: int = 20, request_id: str = "", model: str = "") -> list[dict[str, object]]:
        """The newest decisions first, as plain dicts of the shape of ExplainedDecision; see `prepare`."""
        return self.prepare(limit=limit, request_id=request_id, model=model)()

    def _keep(self, record: _Record) -> None:
        self._records.append(record)
        self._scores += record.scores
        while len(self._records) > self._most_records or (self._scores > self._most_scores and len(self._records) > 1):
            dropped = self._records.popleft()
            self._scores -= dropped.scores
            if dropped.decision is not None:
                self._under_way.pop(dropped.decision.reservation.serial, None)


def _scores_on(card: ScoreCard) -> int:
    return len(card.candidates) * (len(card.columns) + 1)


def _explained(record: _Record) -> ExplainedDecision:
    request, decision = record.request or UNREAD, record.decision
    explained = ExplainedDecision(
        when=datetime.fromtimestamp(record.when, UTC).isoformat(timespec="milliseconds"),
        request_id=_writable(request.request_id),
        model=_writable(request.model),
        target_model=_writable(request.target_model),
        model_rewrite=_writable(request.model_rewrite),
        priority=request.priority,
        fairness_id=_writable(request.fairness_id),
        streaming=request.streaming,
        body_bytes=request.body_bytes,
        prompt_tokens=0,
        scheduler_s=None,
        picked=None,
        fallbacks=[],
        profile="",
        weights={},
        candidates=[],
        candidates_left_off=0,
        refusal=ExplainedRefusal(*map(_writable, record.refusal)) if record.refusal else None,
        end=_explained_end(record.report) if record.report else None,
    )
    if decision is None:
        return explained
    named, card = _named(decision.endpoints), decision.card
    candidates = list(_explained_candidates(card))
    return msgspec.structs.replace(
        explained,
        prompt_tokens=decision.reservation.tokens,
        scheduler_s=decision.scheduler_s,
        picked=named[0],
        fallbacks=named[1:],
        profile=card.profile,
        weights=_weights(card),
        candidates=candidates[:MOST_CANDIDATES_SHOWN],
        candidates_left_off=max(0, len(candidates) - MOST_CANDIDATES_SHOWN),
        stages=[_explained_stage(pick) for pick in decision.further],
        disaggregation=_split(decision.disaggregation),
        request_headers=dict(decision.request_headers),
    )


def _explained_stage(pick: StagePick) -> ExplainedStage:
    named, candidates = _named(pick.endpoints), list(_explained_candidates(pick.card))
    return ExplainedStage(
        stage=pick.stage.value,
        picked=named[0],
        fallbacks=named[1:],
        profile=pick.card.profile,
        weights=_weights(pick.card),
        candidates=candidates[:MOST_CANDIDATES_SHOWN],
        candidates_left_off=max(0, len(candidates) - MOST_CANDIDATES_SHOWN),
    )


def _split(disaggregation: Disaggregation | None) -> str:
    if disaggregation is None:
        return ""
    failed = disaggregation.failed_stage
    return f"{disaggregation.stages}, no endpoint for {failed}" if failed else disaggregation.stages


def _named(endpoints: tuple[Endpoint, ...]) -> list[ExplainedEndpoint]:
    return [ExplainedEndpoint(endpoint.name, endpoint.destination) for endpoint in endpoints]


def _weights(card: ScoreCard) -> dict[str, float]:
    return {column.plugin: column.weight for column in card.columns}


def _explained_end(report: RequestReport) -> ExplainedEnd:
    return ExplainedEnd(
        outcome=report.outcome.value,
        status=report.status,
        served=_writable(report.served),
        duration_s=report.duration_s,
        first_token_s=report.first_token_s,
        response_bytes=report.response_bytes,
    )


def _explained_candidates(card: ScoreCard) -> Iterator[ExplainedCandidate]:
    columns = [(column.plugin, plain(column.scores)) for column in card.columns]
    ranked = sorted(enumerate(plain(card.totals)), key=itemgetter(1), reverse=True)
    for position, total in ranked:
        endpoint = card.candidates[position]
        scores = {plugin: values[position] for plugin, values in columns}
        yield ExplainedCandidate(endpoint.name, endpoint.destination, total, scores)


def _writable(text: str) -> str:
    """Clients may send lone surrogates, which cannot be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
