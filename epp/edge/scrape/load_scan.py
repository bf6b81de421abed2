"""Finds a load on a metrics page: the few series that say how loaded the engine is and has been.

Gauges of several engines on one page (data parallelism inside a pod): waiting and running are summed, of the KV cache
usage the highest counts. Of a custom metric nobody knows what it counts, so its series are summed too; labels in its
spec choose one. An info metric of LoRA adapters keeps a series for every combination of adapters it has ever
had; its value is the unix time of the last update, so the newest one is true.
Source: model server protocol, proposal 003; newest-series rule as in the reference.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, TypeVar

import msgspec

from epp.core.domain.ports import EngineTotals, LoadReport
from epp.edge.scrape.exposition import MetricSpec, Sample, SeriesReader
from epp.edge.scrape.metric_names import MetricNames, TotalNames

MOST_REQUESTS = 1e7
MOST_BLOCKS = 1e10
MOST_TOTAL = 1e15
_ROUNDING = 1e-6
NO_LOAD = LoadReport()

T = TypeVar("T")
Samples = tuple[Sample, ...]


class Adapters(msgspec.Struct, frozen=True):
    """What the info metric of the LoRA adapters says."""

    most: int | None = None
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


NO_ADAPTERS = Adapters()


class LoadReader:
    """Reads page after page of one server."""

    def __init__(self, names: MetricNames, *, totals_every: int = 1) -> None:
        """`totals_every`: of so many pages the totals are read on one, beginning with the first."""
        self._waiting = _First((names.waiting, names.waiting_else), partial(_sum, most=MOST_REQUESTS))
        self._running = _First((names.running,), partial(_sum, most=MOST_REQUESTS))
        self._kv_usage = _First(names.kv_usage, _highest_share)
        self._cache = _First((names.cache_info,), partial(_cache_size, names=names))
        self._blocks = _First((names.blocks,), _largest_size)
        self._block_tokens = _First((names.block_tokens,), _largest_size)
        self._adapters = _First((names.lora_info,), _newest_adapters)
        self._servers = _First(names.servers, partial(_sum, most=MOST_BLOCKS))
        self._custom = [(metric.key, _First((metric.spec,), _any_sum)) for metric in names.custom]
        self._totals = _TotalsReader(names.totals) if names.totals is not None else None
        self._totals_every = totals_every
        self._pages = 0
        self._last = NO_LOAD
        """without totals"""

    def read(self, page: bytes) -> LoadReport:
        """The load that a page tells; equal to NO_LOAD when it has none of the metrics.

        Negative, infinite and absurd values count as missing. The same object as the last time when nothing changed.
        """
        with_totals = self._totals is not None and not self._pages % self._totals_every
        self._pages += 1
        if self._servers.read(page) == 0.0:  # averages that are still on the page are of servers that were
            return NO_LOAD
        tokens, blocks = self._cache.read(page) or (None, None)
        adapters = self._adapters.read(page) or NO_ADAPTERS
        report = LoadReport(
            waiting=self._waiting.read(page),
            running=self._running.read(page),
            kv_usage=self._kv_usage.read(page),
            kv_block_tokens=tokens or self._block_tokens.read(page),
            kv_blocks=blocks or self._blocks.read(page),
            max_adapters=adapters.most,
            running_adapters=adapters.running,
            waiting_adapters=adapters.waiting,
            attributes=tuple(self._attributes(page)) if self._custom else (),
        )
        if report == self._last:
            report = self._last
        else:
            self._last = report
        if self._totals is None or not with_totals or report == NO_LOAD:
            return report
        return msgspec.structs.replace(report, totals=self._totals.read(page))

    def _attributes(self, page: bytes) -> Iterable[tuple[str, float]]:
        for key, series in self._custom:
            total = series.read(page)
            if total is not None:
                yield key, total


class _TotalsReader:
    """Sums over the engines of a page."""

    def __init__(self, names: TotalNames) -> None:
        self._series = [
            (field, _First(_listed_specs(getattr(names, field)), partial(_sum, most=MOST_TOTAL)))
            for field in EngineTotals.__struct_fields__
        ]

    def read(self, page: bytes) -> EngineTotals:
        return EngineTotals(**{field: series.read(page) for field, series in self._series})


class _First(Generic[T]):
    """What the first of several metrics says that says anything; worked out again only when its samples change."""

    def __init__(self, specs: Iterable[MetricSpec | None], derive: Callable[[Samples], T | None]) -> None:
        """`derive` gets the samples of one metric, and gives None when they say nothing."""
        self._series = [_Derived(spec, derive) for spec in specs if spec is not None]

    def read(self, page: bytes) -> T | None:
        for series in self._series:
            derived = series.read(page)
            if derived is not None:
                return derived
        return None


class _Derived(Generic[T]):
    __slots__ = ("_derive", "_derived", "_samples", "_series")

    def __init__(self, spec: MetricSpec, derive: Callable[[Samples], T | None]) -> None:
        self._series = SeriesReader(spec)
        self._derive = derive
        self._samples: Samples = ()
        self._derived: T | None = None

    def read(self, page: bytes) -> T | None:
        samples = self._series.read(page)
        if samples is not self._samples:
            self._samples = samples
            self._derived = self._derive(samples) if samples else None
        return self._derived


def scan(page: bytes, names: MetricNames) -> LoadReport:
    """The load that a single page tells, as LoadReader has it."""
    return LoadReader(names).read(page)


def _listed_specs(specs: MetricSpec | tuple[MetricSpec, ...]) -> tuple[MetricSpec, ...]:
    return specs if isinstance(specs, tuple) else (specs,)


def _within(found: Samples, most: float) -> list[float]:
    return [sample.value for sample in found if 0.0 <= sample.value <= most]


def _sum(found: Samples, most: float) -> float | None:
    values = _within(found, most)
    return sum(values) if values else None


def _highest_share(found: Samples) -> float | None:
    values = _within(found, 1.0 + _ROUNDING)
    return min(1.0, max(values)) if values else None


def _largest_size(found: Samples) -> int | None:
    return int(max(_within(found, MOST_BLOCKS), default=0)) or None


def _any_sum(found: Samples) -> float | None:
    """Any finite number counts, a negative one too: what a custom metric may be is its owner's affair."""
    total = sum(sample.value for sample in found)
    return total if math.isfinite(total) else None


def _cache_size(found: Samples, names: MetricNames) -> tuple[int | None, int | None] | None:
    """Tokens per block, and blocks, of the engine with the largest cache; None where the labels do not tell them."""
    sizes = [(sample.labels.get(names.blocks_label), sample.labels.get(names.block_tokens_label)) for sample in found]
    blocks, tokens = max(((_count(blocks or "") or 0, _count(tokens or "") or 0) for blocks, tokens in sizes))
    return tokens or None, blocks or None


def _newest_adapters(found: Samples) -> Adapters:
    labels = max(found, key=lambda sample: sample.value).labels
    return Adapters(
        most=_count(labels.get("max_lora", "")),
        running=_listed(labels.get("running_lora_adapters", "")),
        waiting=_listed(labels.get("waiting_lora_adapters", "")),
    )


def _count(text: str) -> int | None:
    """A positive whole number; None for everything else (an engine writes `None` or 0 for what it does not have)."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return None
    number = int(text)
    return number if 0 < number <= MOST_BLOCKS else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
