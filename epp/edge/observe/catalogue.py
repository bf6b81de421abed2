"""The metric catalogue: joins the numbers behind every family and makes pages of them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock
from epp.edge.observe import families
from epp.edge.observe.exposition import Format, Series, accepted_format, family_lines
from epp.edge.observe.families import Dialect, Family
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.picker_families import ProcessNumbers, process_series
from epp.edge.observe.pool_gauges import pool_gauges
from epp.edge.observe.pool_reading import PoolReader
from epp.edge.observe.sink import RequestTotals

Page = tuple[bytes, str]
"""content and content type"""
LINES_PER_TURN = 250
"""lines between two offers of the interpreter to other threads, a fraction of a millisecond"""


class CountedFamilies(Protocol):
    """Counts of requests: `PrometheusSink`, or `ToldCounts` where several processes count."""

    def bindings(self) -> Sequence[tuple[Family, Callable[[], Iterable[Series]]]]:
        """Which numbers stand behind which family; may be called from another thread."""
        ...

    def forget_vanished(self, present: Iterable[Endpoint], now: float) -> None:
        """Drops series of endpoints that left the pool long ago; `now` in monotonic seconds."""

    def totals(self) -> RequestTotals:
        """For the self-check."""
        ...


class OutsideGauges(msgspec.Struct, frozen=True):
    """Numbers that others hold, asked for on the event loop; a family without its callable is left out."""

    prefix_index_blocks: Callable[[], float] | None = None
    streams_open: Callable[[], float] | None = None
    buffered_bytes: Callable[[], float] | None = None
    object_problems: Callable[[], float] | None = None
    objects_stale_s: Callable[[], float] | None = None
    processes: Callable[[], ProcessNumbers] | None = None
    """picker processes, where there are several"""


class Build(msgspec.Struct, frozen=True):
    """Labels of the info metric."""

    commit: str = ""
    ref: str = ""


class Catalogue:
    """Makes pages. `registry` is its own, for the metrics of others; process_* is in it."""

    def __init__(
        self,
        sink: CountedFamilies,
        pool: PoolReader,
        clock: Clock,
        *,
        dialect: Dialect = Dialect.GIE,
        outside: OutsideGauges | None = None,
        flow: FlowSeries | None = None,
        build: Build | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._sink = sink
        self._pool = pool
        self._clock = clock
        self._dialect = dialect
        self._outside = outside or OutsideGauges()
        self._flow = flow or FlowSeries()
        build = build or Build()
        self._info: tuple[Family, list[Series]] = (families.INFO, [((build.commit, build.ref), 1)])

    def prepare(self, accept: str = "") -> Callable[[], Page]:
        """Reads what belongs to the event loop; the returned rest of the work may run in a thread.

        `accept` is the header of that name; anything but OpenMetrics gets the text format.
        """
        reading = self._pool.read()
        self._sink.forget_vanished(reading.endpoints, self._clock())
        gauges = [self._info, *pool_gauges(reading), *self._flow.read(reading.pool_name), *self._read_outside()]
        gauges += process_series(self._outside.processes() if self._outside.processes else None)
        form = accepted_format(accept)
        return lambda: (self._render(gauges, form), form.content_type)

    def _render(self, gauges: list[tuple[Family, list[Series]]], form: Format) -> bytes:
        written: list[str] = []
        for line in self._lines(gauges, form):
            written.append(line)
            if not len(written) % LINES_PER_TURN:
                time.sleep(0)  # the event loop's thread would wait 5 ms for its turn otherwise
        return "".join(written).encode("utf-8") + form.encode(self.registry)

    def _lines(self, gauges: list[tuple[Family, list[Series]]], form: Format) -> Iterator[str]:
        counted = [(family, list(source())) for family, source in self._sink.bindings()]
        for family, series in (*gauges, *counted):
            for exposed in family.exposed(self._dialect):
                yield from family_lines(family, exposed, series, form)

    def _read_outside(self) -> list[tuple[Family, list[Series]]]:
        outside = self._outside
        return [
            (family, [((), ask())])
            for family, ask in (
                (families.PREFIX_BLOCKS, outside.prefix_index_blocks),
                (families.STREAMS, outside.streams_open),
                (families.BUFFERED_BYTES, outside.buffered_bytes),
                (families.OBJECT_PROBLEMS, outside.object_problems),
                (families.OBJECTS_STALE, outside.objects_stale_s),
            )
            if ask is not None
        ]
