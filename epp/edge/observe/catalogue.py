"""The metric catalogue: turns the numbers behind every family into a page of Prometheus text or OpenMetrics."""

from collections.abc import Callable, Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from epp.core.domain.ports import Clock
from epp.edge.observe import families
from epp.edge.observe.cells import Histogram, merged
from epp.edge.observe.families import Dialect, Exposed, Family
from epp.edge.observe.pool_gauges import pool_gauges
from epp.edge.observe.pool_reading import PoolReader
from epp.edge.observe.sink import PrometheusSink, Series, SeriesKey, Value

BoundLabel = Callable[[float], str]
Page = tuple[bytes, str]
"""content and content type"""
OPENMETRICS = "application/openmetrics-text"


class OutsideGauges(msgspec.Struct, frozen=True):
    """Numbers that others hold, asked for on the event loop; a family without its callable is left out."""

    prefix_index_blocks: Callable[[], float] | None = None
    streams_open: Callable[[], float] | None = None
    buffered_bytes: Callable[[], float] | None = None
    object_problems: Callable[[], float] | None = None


class Build(msgspec.Struct, frozen=True):
    """Labels of the info metric."""

    commit: str = ""
    ref: str = ""


class Catalogue:
    """Makes pages; its registry is its own and open to further collectors (process_* is in it)."""

    def __init__(
        self,
        sink: PrometheusSink,
        pool: PoolReader,
        clock: Clock,
        *,
        dialect: Dialect = Dialect.GIE,
        outside: OutsideGauges | None = None,
        build: Build | None = None,
    ) -> None:
        self._sink = sink
        self._pool = pool
        self._clock = clock
        self._outside = outside or OutsideGauges()
        build = build or Build()
        self._constant: list[tuple[Family, list[Series]]] = [(families.INFO, [((build.commit, build.ref), 1)])]
        self._read: list[tuple[Family, list[Series]]] = []
        self._dialect = dialect
        self.registry = self._registry(_go_text)
        self.openmetrics_registry = self._registry(floatToGoString)

    def prepare(self, accept: str = "") -> Callable[[], Page]:
        """Reads what belongs to the event loop; the returned rest of the work may run in a thread.

        `accept` is the header of that name; anything but OpenMetrics gets the text format.
        """
        reading = self._pool.read()
        self._sink.forget_vanished(reading.endpoints, self._clock())
        self._read = [*pool_gauges(reading), *self._read_outside()]
        encode, content_type = choose_encoder(accept)
        registry = self.openmetrics_registry if content_type.startswith(OPENMETRICS) else self.registry
        return lambda: (encode(registry), content_type)

    def metrics(self, bound_label: BoundLabel) -> Iterator[Metric]:
        """Every family that has a series, under each of its names."""
        bound = [(family, source()) for family, source in self._sink.bindings()]
        for family, series in (*self._constant, *self._read, *bound):
            numbers = list(series)
            for exposed in family.exposed(self._dialect):
                metric = exposed_metric(family, exposed, numbers, bound_label)
                if metric.samples:
                    yield metric

    def _registry(self, bound_label: BoundLabel) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(_CatalogueCollector(self, bound_label))
        ProcessCollector(registry=registry)
        return registry

    def _read_outside(self) -> list[tuple[Family, list[Series]]]:
        outside = self._outside
        return [
            (family, [((), ask())])
            for family, ask in (
                (families.PREFIX_BLOCKS, outside.prefix_index_blocks),
                (families.STREAMS, outside.streams_open),
                (families.BUFFERED_BYTES, outside.buffered_bytes),
                (families.OBJECT_PROBLEMS, outside.object_problems),
            )
            if ask is not None
        ]


class _CatalogueCollector(Collector):
    def __init__(self, catalogue: Catalogue, bound_label: BoundLabel) -> None:
        self._catalogue = catalogue
        self._bound_label = bound_label

    def collect(self) -> Iterable[Metric]:
        return self._catalogue.metrics(self._bound_label)


def exposed_metric(family: Family, exposed: Exposed, series: Iterable[Series], bound_label: BoundLabel) -> Metric:
    """The family under one of its names; series that its labels do not tell apart are added up."""
    groups: dict[SeriesKey, list[Value]] = {}
    for key, value in series:
        groups.setdefault(tuple([key[place] for _, place in exposed.labels]), []).append(value)
    metric = Metric(exposed.name.removesuffix("_total"), family.help, family.kind)
    names = [name for name, _ in exposed.labels]
    for shown, values in groups.items():
        labels = dict(zip(names, shown, strict=True))
        histograms = [value for value in values if isinstance(value, Histogram)]
        if histograms:
            _add_histogram(metric, exposed.name, labels, merged(histograms), bound_label)
        else:
            metric.add_sample(exposed.name, labels, sum(value for value in values if not isinstance(value, Histogram)))
    return metric


def _add_histogram(
    metric: Metric, name: str, labels: dict[str, str], histogram: Histogram, bound_label: BoundLabel
) -> None:
    if histogram.is_empty:
        return
    count = 0
    for bound, in_bucket in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        count += in_bucket
        metric.add_sample(f"{name}_bucket", {**labels, "le": bound_label(bound)}, count)
    metric.add_sample(f"{name}_sum", labels, histogram.total)
    metric.add_sample(f"{name}_count", labels, count)


def _go_text(bound: float) -> str:
    """A bound as Go's client writes it in the text format: `1`, `0.005`, `1.048576e+06`."""
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return text.removesuffix(".0")
