"""The counted families of several processes on one page: as bytes from each of them, added up where they are shown.

Series of the same labels are added up where a page is written, so that counts of several processes are one after the
other here. What a process told last stays when it ends: counters and histograms never go back, gauges are over.
"""

from collections.abc import Callable, Iterable
from functools import cache

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.edge.observe import families as request_families
from epp.edge.observe import flow_families
from epp.edge.observe.cells import Histogram, merged
from epp.edge.observe.exposition import Series, SeriesKey, Value
from epp.edge.observe.families import Family
from epp.edge.observe.sink import PrometheusSink, RequestTotals


class _Buckets(msgspec.Struct, frozen=True, array_like=True):
    counts: list[int]
    total: float


class _Told(msgspec.Struct, frozen=True, array_like=True):
    totals: RequestTotals
    bounds: list[tuple[float, ...]]
    """of the histograms"""
    families: dict[str, list[tuple[SeriesKey, float | tuple[int, _Buckets]]]]
    """by name; a histogram is the place of its bounds and its buckets"""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Told)
Counted = list[tuple[Family, list[Series]]]


def family_name(family: Family) -> str:
    """The first name that a family has; no two have the same."""
    exposed = family.own or family.gie or family.llm_d
    return exposed.name if exposed else ""


@cache
def known_families() -> dict[str, Family]:
    """Every family by its name."""
    everything = [*vars(request_families).values(), *vars(flow_families).values()]
    return {family_name(family): family for family in everything if isinstance(family, Family)}


def written_counts(totals: RequestTotals, counted: Iterable[tuple[Family, Iterable[Series]]]) -> bytes:
    """Everything that one process has counted."""
    bounds: dict[tuple[float, ...], int] = {}

    def written(value: Value) -> float | tuple[int, _Buckets]:
        if not isinstance(value, Histogram):
            return value
        return bounds.setdefault(value.bounds, len(bounds)), _Buckets(value.counts, value.total)

    told = {family_name(family): [(key, written(value)) for key, value in series] for family, series in counted}
    return _encoder.encode(_Told(totals, list(bounds), told))


class ToldCounts:
    """What other processes count, and what this one does; see CountedFamilies."""

    def __init__(self, own: PrometheusSink) -> None:
        """`own`: of this process."""
        self._own = own
        self._latest: dict[int, tuple[RequestTotals, Counted]] = {}
        self._ended: tuple[RequestTotals, Counted] = (RequestTotals(), [])

    def told(self, process: int, content: bytes) -> None:
        """One process has told its counts; raises msgspec.MsgspecError for what is none."""
        told = _decoder.decode(content)
        families = known_families()
        self._latest[process] = (
            told.totals,
            [
                (families[name], [(key, _read(value, told.bounds)) for key, value in series])
                for name, series in told.families.items()
            ],
        )

    def ended(self, process: int) -> None:
        """The process is over; what it has counted stays, its gauges do not."""
        totals, counted = self._latest.pop(process, (RequestTotals(), []))
        former_totals, former = self._ended
        sums: dict[str, dict[SeriesKey, Value]] = {}
        for family, series in (*former, *counted):
            if family.kind != "gauge":
                place = sums.setdefault(family_name(family), {})
                for key, value in series:
                    place[key] = _sum(place.get(key), value)
        families = known_families()
        self._ended = (
            _added((former_totals, totals)),
            [(families[name], list(series.items())) for name, series in sums.items()],
        )

    def totals_of(self, process: int) -> RequestTotals:
        """Of one process since it was started."""
        return self._latest[process][0] if process in self._latest else RequestTotals()

    def totals(self) -> RequestTotals:
        """Of all processes."""
        return _added((self._own.totals(), self._ended[0], *(totals for totals, _ in self._latest.values())))

    def forget_vanished(self, present: Iterable[Endpoint], now: float) -> None:
        """See CountedFamilies; each process does that for itself."""
        self._own.forget_vanished(present, now)

    def bindings(self) -> list[tuple[Family, Callable[[], Iterable[Series]]]]:
        """See CountedFamilies."""
        together: dict[str, list[Series]] = {}
        for family, source in self._own.bindings():
            together[family_name(family)] = list(source())
        for _, counted in (self._ended, *self._latest.values()):
            for family, series in counted:
                together.setdefault(family_name(family), []).extend(series)
        families = known_families()
        return [(families[name], series.copy) for name, series in together.items()]


def _read(value: float | tuple[int, _Buckets], bounds: list[tuple[float, ...]]) -> Value:
    if not isinstance(value, tuple):
        return value
    place, buckets = value
    histogram = Histogram(bounds[place])
    histogram.counts = buckets.counts
    histogram.total = buckets.total
    return histogram


def _sum(former: Value | None, value: Value) -> Value:
    if former is None:
        return value
    if isinstance(former, Histogram) and isinstance(value, Histogram):
        return merged(former, value)
    if isinstance(former, Histogram) or isinstance(value, Histogram):
        raise TypeError("a histogram and a number have the same name")
    return former + value


def _added(parts: Iterable[RequestTotals]) -> RequestTotals:
    parts = tuple(parts)
    names = RequestTotals.__struct_fields__
    return RequestTotals(**{name: sum(getattr(part, name) for part in parts) for name in names})
