"""All bands and flows: made when they are needed, dropped when they have been idle for long."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from epp.core.flow.band import Band, Entry, Flow
from epp.core.flow.item import FlowKey
from epp.core.flow.settings import FlowSettings


def _downwards(band: Band) -> int:
    return -band.priority


class Bands:
    """Bands by priority; priority 0 and configured ones are always there."""

    def __init__(self, settings: FlowSettings) -> None:
        self._settings = settings
        self.kept: tuple[int, ...] = ()
        """priorities that objectives name"""
        self._kept = {0, *settings.bands}
        self._bands: dict[int, Band] = {}
        self._idle_bands: OrderedDict[int, float] = OrderedDict()
        """dynamic bands without items: since when, longest first"""
        self._idle_flows: OrderedDict[Flow, tuple[Band, float]] = OrderedDict()
        self.priorities: tuple[int, ...] = ()
        """of all bands, highest first"""
        self.ranks: dict[int, int] = {}
        """position in `priorities`"""
        self.waiting: list[Band] = []
        """bands that have items, highest first"""
        for priority in self._kept:
            self._add(priority)
        self._sort()

    def __iter__(self) -> Iterator[Band]:
        return iter(self._bands[priority] for priority in self.priorities)

    def keep(self, priorities: Iterable[int], now: float) -> None:
        """Priorities that objectives name: their bands exist, whether anybody waits or not."""
        self.kept = tuple(priorities)
        self._kept = {0, *self._settings.bands, *self.kept}
        for priority in self._kept - self._bands.keys():
            self._add(priority)
        for priority, band in self._bands.items():
            if priority in self._kept:
                self._idle_bands.pop(priority, None)
            elif not band.requests:
                self._idle_bands.setdefault(priority, now)
        self._sort()

    def of(self, priority: int, now: float) -> Band:
        """The band for a request that comes now."""
        band = self._bands.get(priority)
        if band is None:
            if len(self._bands) - len(self._kept) >= self._settings.most_dynamic_bands and not self._drop_one():
                return self._nearest(priority)
            band = self._add(priority)
            self._sort()
        if priority not in self._kept and not band.requests:
            self._idle_bands[priority] = now
            self._idle_bands.move_to_end(priority)
        return band

    def flow(self, band: Band, fairness_id: str) -> Flow:
        """The flow of a tenant in the band."""
        key = FlowKey(fairness_id, band.priority)
        flow = band.flows.get(key)
        if flow is None:
            flow = band.flows[key] = Flow(key)
        return flow

    def add(self, band: Band, entry: Entry, ttl_s: float | None) -> None:
        """An entry begins to wait."""
        if not band.requests:
            insort(self.waiting, band, key=_downwards)
            self._idle_bands.pop(band.priority, None)
        self._idle_flows.pop(entry.flow, None)
        band.add(entry, ttl_s)

    def remove(self, band: Band, entry: Entry, now: float) -> None:
        """An entry waits no longer."""
        band.remove(entry)
        if not entry.flow.entries:
            self._idle_flows[entry.flow] = (band, now)
        if not band.requests:
            del self.waiting[bisect_left(self.waiting, -band.priority, key=_downwards)]
            if band.priority not in self._kept:
                self._idle_bands[band.priority] = now

    def collect(self, now: float) -> None:
        """Drops what has been idle for long, and the longest idle flows when there are too many."""
        flows, settings = self._idle_flows, self._settings
        while flows:
            flow, (band, since) = next(iter(flows.items()))
            if now - since < settings.idle_flow_s and len(flows) <= settings.most_idle_flows:
                break
            del flows[flow]
            del band.flows[flow.key]
        while self._idle_bands and now - next(iter(self._idle_bands.values())) >= settings.idle_band_s:
            self._drop_one()

    def _add(self, priority: int) -> Band:
        settings = self._settings.band(priority)
        band = Band(priority, settings.limits, settings.new_fairness(), settings.ordering)
        self._bands[priority] = band
        return band

    def _drop_one(self) -> bool:
        """Drops the dynamic band that has been idle longest; False when there is none."""
        if not self._idle_bands:
            return False
        priority, _ = self._idle_bands.popitem(last=False)
        for flow in self._bands.pop(priority).flows.values():
            self._idle_flows.pop(flow, None)
        self._sort()
        return True

    def _nearest(self, priority: int) -> Band:
        """The next lower band, so that too many priorities win nobody an advantage; else the lowest."""
        lower = [other for other in self.priorities if other <= priority]
        return self._bands[lower[0] if lower else self.priorities[-1]]

    def _sort(self) -> None:
        self.priorities = tuple(sorted(self._bands, reverse=True))
        self.ranks = {priority: rank for rank, priority in enumerate(self.priorities)}
