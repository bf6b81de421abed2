"""Numbers of an endpoint that a configuration may name: `attributeKey`, `attribute`.

| name                  | unit                                  | from               |
| --------------------- | ------------------------------------- | ------------------ |
| `WaitingQueueSize`    | requests that wait in the engine      | the metrics page   |
| `RunningRequestsSize` | requests that run in the engine       | the metrics page   |
| `KVCacheUsage`        | used fraction of the KV cache, 0..1   | the metrics page   |
| `InFlightRequests`    | our own unfinished requests           | the in-flight books |
| `InFlightTokens`      | prompt tokens of these                | the in-flight books |

Every other name is that of a custom metric, see `customMetrics` of core-metrics-extractor.
"""

from collections.abc import Callable, Mapping

import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle, ScrapedSignal
from epp.core.state.columns import FloatColumn

PRODUCER_IS_IMPLIED = "the name of the attribute alone says where it comes from"


def read_attribute(key: str, cycle: Cycle, candidates: Candidates) -> FloatColumn:
    """The attribute of every candidate, shape (candidates,); not a number where it is unknown.

    Unknown is a scraped one that is no finite number, of an endpoint that was never scraped, or of one that has been
    silent for longer than the limit; when everybody is silent the last values stand. A custom one is unknown as well
    as long as no page of the endpoint had it, and for all where nobody extracts it.
    """
    reader = _READERS.get(key)
    if reader is not None:
        return reader(cycle, candidates)
    column = cycle.snapshot.load.attributes.get(key)
    return np.full(len(candidates), np.nan) if column is None else _known(column, cycle, candidates)


def _waiting(cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return _scraped("waiting", cycle, candidates)


def _running(cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return _scraped("running", cycle, candidates)


def _kv_usage(cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return _scraped("kv_usage", cycle, candidates)


def _scraped(signal: ScrapedSignal, cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return _known(getattr(cycle.snapshot.load, signal), cycle, candidates)


def _known(column: FloatColumn, cycle: Cycle, candidates: Candidates) -> FloatColumn:
    values = column[candidates.slots]
    unknown = cycle.is_stale(candidates)
    if unknown.all():
        unknown = np.isneginf(cycle.snapshot.load.updated_at[candidates.slots])
    return np.where(unknown | ~np.isfinite(values), np.nan, values)


def _in_flight_requests(cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return cycle.in_flight(candidates).astype(np.float64)


def _in_flight_tokens(cycle: Cycle, candidates: Candidates) -> FloatColumn:
    return cycle.ledger.tokens[candidates.slots].astype(np.float64)


_READERS: Mapping[str, Callable[[Cycle, Candidates], FloatColumn]] = {
    "WaitingQueueSize": _waiting,
    "RunningRequestsSize": _running,
    "KVCacheUsage": _kv_usage,
    "InFlightRequests": _in_flight_requests,
    "InFlightTokens": _in_flight_tokens,
}
