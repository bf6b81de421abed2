"""The numbers of flow control: counted as they happen, and read from the queues when a page is asked for."""

from collections.abc import Callable, Iterator, Mapping

from epp.core.domain.request import InferenceRequest
from epp.core.flow.events import FlowOutcome
from epp.core.flow.statistics import FlowReading
from epp.edge.observe import flow_families as families
from epp.edge.observe.cells import Histogram
from epp.edge.observe.exposition import Series
from epp.edge.observe.families import Family
from epp.edge.observe.label_values import OTHER, BoundedValues

MOST_SERIES = 5_000
"""histograms of waiting times; beyond, tenants and models become `other`"""
_WaitKey = tuple[str, str, str, str, str]
"""fairness id, priority, model, target model, outcome"""


class FlowSeries:
    """FlowSink of the process. Without `queues` the picker has no flow control, and nothing is shown."""

    def __init__(self, *, most_series: int = MOST_SERIES) -> None:
        self.queues: Callable[[], FlowReading] | None = None
        self._most_series = most_series
        self._tenants = BoundedValues()
        self._models = BoundedValues()
        self._priorities = BoundedValues()
        self._waits: dict[_WaitKey, Histogram] = {}
        self._cycles = Histogram(families.CYCLE.buckets)
        self._broken_off = 0

    def left_queue(self, request: InferenceRequest, outcome: FlowOutcome, waited_s: float) -> None:
        """Counts the request (FlowSink)."""
        key = (*self._labels(request.fairness_id, request.priority, request.model, request.target_model), outcome.value)
        histogram = self._waits.get(key)
        if histogram is None:
            if len(self._waits) >= self._most_series:
                key = (OTHER, key[1], OTHER, OTHER, outcome.value)
            histogram = self._waits.setdefault(key, Histogram(families.QUEUE_DURATION.buckets))
        histogram.observe(waited_s)

    def broken_off(self, request: InferenceRequest) -> None:  # noqa: ARG002  one signature for all sinks
        """Counts the eviction (FlowSink)."""
        self._broken_off += 1

    def cycle_done(self, duration_s: float) -> None:
        """One turn of flow control took so long."""
        self._cycles.observe(duration_s)

    def read(self, pool: str) -> list[tuple[Family, list[Series]]]:
        """Every family with its series; on the event loop. `pool` is the pool's name."""
        if self.queues is None:
            return []
        reading = self.queues()
        shares = [(str(band.priority), band.limits, band.requests, band.body_bytes) for band in reading.bands]
        queues = list(self._queues(reading, pool))
        return [
            (families.QUEUE_DURATION, list(self._durations(pool))),
            (families.REQUESTS, list(self._outcomes(pool))),
            (families.CYCLE, [((), self._cycles)]),
            (families.QUEUE_SIZE, [(key, requests) for key, (requests, _) in queues]),
            (families.QUEUE_BYTES, [(key, body_bytes) for key, (_, body_bytes) in queues]),
            (families.SATURATION, [((pool, "effective"), reading.saturation)]),
            (families.BAND_REQUESTS, [((p, pool), n / of.max_requests) for p, of, n, _ in shares if of.max_requests]),
            (families.BAND_BYTES, [((p, pool), size / of.max_bytes) for p, of, _, size in shares if of.max_bytes]),
            (families.ALL_REQUESTS, _share(pool, reading.requests, reading.limits.max_requests)),
            (families.ALL_BYTES, _share(pool, reading.body_bytes, reading.limits.max_bytes)),
            (families.BROKEN_OFF, [((pool,), self._broken_off)]),
            (families.UNCONFIRMED, [((), reading.unconfirmed_evictions)]),
            *self._fairness(reading.attained_service),
        ]

    def _labels(self, tenant: str, priority: int, model: str, target: str) -> tuple[str, str, str, str]:
        models = self._models
        return (
            self._tenants.value(tenant),
            self._priorities.value(str(priority)),
            models.value(model),
            models.value(target or model),
        )

    def _durations(self, pool: str) -> Iterator[Series]:
        for (tenant, priority, model, target, outcome), histogram in self._waits.items():
            yield (tenant, priority, pool, model, target, outcome), histogram

    def _outcomes(self, pool: str) -> Iterator[Series]:
        for (_, priority, _, _, outcome), histogram in self._waits.items():
            yield (outcome, priority, pool), sum(histogram.counts)

    def _queues(self, reading: FlowReading, pool: str) -> Iterator[tuple[tuple[str, ...], tuple[int, int]]]:
        for band in reading.bands:
            for flow in band.flows:
                for (model, target), counts in flow.by_models.items():
                    tenant, priority, *models = self._labels(flow.key.fairness_id, flow.key.priority, model, target)
                    yield (tenant, priority, pool, *models), counts

    def _fairness(self, attained: Mapping[str, float]) -> list[tuple[Family, list[Series]]]:
        if not attained:
            return []
        values = list(attained.values())
        squares = sum(value * value for value in values)
        index = sum(values) ** 2 / (len(values) * squares) if squares else 1.0
        tenants: list[Series] = [((self._tenants.value(name),), value) for name, value in attained.items()]
        return [(families.ATTAINED_SERVICE, tenants), (families.FAIRNESS_INDEX, [((), index)])]


def _share(pool: str, held: int, limit: int) -> list[Series]:
    return [((pool,), held / limit)] if limit else []
