"""Finds a load on a metrics page: the few series that say how loaded the engine is and has been.

Gauges of several engines on one page (data parallelism inside a pod): waiting and running are summed, of the KV cache
usage the highest counts. Of a custom metric nobody knows what it counts, so its series are summed too; labels in its
spec choose one. An info metric of LoRA adapters keeps a series for every combination of adapters it has ever
had; its value is the unix time of the last update, so the newest one is true.
Source: model server protocol, proposal 003; newest-series rule as in the reference.
"""

import math
from collections.abc import Iterable, Iterator

import msgspec

from epp.core.domain.ports import EngineTotals, LoadReport
from epp.edge.scrape.exposition import MetricSpec, Sample, samples
from epp.edge.scrape.metric_names import MetricNames, TotalNames

MOST_REQUESTS = 1e7
MOST_BLOCKS = 1e10
MOST_TOTAL = 1e15
_ROUNDING = 1e-6
NO_LOAD = LoadReport()


def scan(page: bytes, names: MetricNames, *, with_totals: bool = True) -> LoadReport:
    """The load that a page tells; equal to NO_LOAD when it has none of the metrics.

    Negative, infinite and absurd values count as missing. The totals double the time that it takes.
    """
    if names.servers and _speaks_for_nobody(page, names):
        return NO_LOAD
    waiting = _within(_samples(page, names.waiting), MOST_REQUESTS)
    if not waiting:
        waiting = _within(_samples(page, names.waiting_else), MOST_REQUESTS)
    running = _within(_samples(page, names.running), MOST_REQUESTS)
    usages = next(filter(None, (_within(samples(page, spec), 1.0 + _ROUNDING) for spec in names.kv_usage)), [])
    block_tokens, blocks = _cache_size(page, names)
    adapters = _newest_labels(_samples(page, names.lora_info))
    report = LoadReport(
        waiting=sum(waiting) if waiting else None,
        running=sum(running) if running else None,
        kv_usage=min(1.0, max(usages)) if usages else None,
        kv_block_tokens=block_tokens,
        kv_blocks=blocks,
        max_adapters=_count(adapters.get("max_lora", "")),
        running_adapters=_listed(adapters.get("running_lora_adapters", "")),
        waiting_adapters=_listed(adapters.get("waiting_lora_adapters", "")),
        attributes=tuple(_attributes(page, names)) if names.custom else (),
    )
    if names.totals is None or not with_totals or report == NO_LOAD:
        return report
    return msgspec.structs.replace(report, totals=_totals(page, names.totals))


def _totals(page: bytes, names: TotalNames) -> EngineTotals:
    """Sums over the engines of the page."""

    def of(*specs: MetricSpec) -> float | None:
        for spec in specs:
            found = _within(samples(page, spec), MOST_TOTAL)
            if found:
                return sum(found)
        return None

    return EngineTotals(
        first_token_s=of(names.first_token_s),
        first_tokens=of(names.first_tokens),
        prefill_s=of(names.prefill_s),
        prefills=of(names.prefills),
        token_gap_s=of(*names.token_gap_s),
        token_gaps=of(*names.token_gaps),
        prompt_tokens=of(names.prompt_tokens),
        cached_tokens=of(*names.cached_tokens),
        output_tokens=of(names.output_tokens),
    )


def _speaks_for_nobody(page: bytes, names: MetricNames) -> bool:
    """Whether the page says that there is no server; averages that are still on it are of servers that were."""
    counts = next(filter(None, (_within(samples(page, spec), MOST_BLOCKS) for spec in names.servers)), None)
    return counts is not None and not any(counts)


def _attributes(page: bytes, names: MetricNames) -> Iterator[tuple[str, float]]:
    """Any finite number counts, a negative one too: what a custom metric may be is its owner's affair."""
    for metric in names.custom:
        values = [sample.value for sample in samples(page, metric.spec)]
        if values and math.isfinite(total := sum(values)):
            yield metric.key, total


def _within(found: Iterable[Sample], most: float) -> list[float]:
    return [sample.value for sample in found if 0.0 <= sample.value <= most]


def _samples(page: bytes, spec: MetricSpec | None) -> Iterable[Sample]:
    return samples(page, spec) if spec is not None else ()


def _cache_size(page: bytes, names: MetricNames) -> tuple[int | None, int | None]:
    """Tokens per block, and blocks, of the engine with the largest cache: from labels, else from gauges."""
    found = _samples(page, names.cache_info)
    sizes = [(sample.labels.get(names.blocks_label), sample.labels.get(names.block_tokens_label)) for sample in found]
    known = [(_count(blocks or "") or 0, _count(tokens or "") or 0) for blocks, tokens in sizes]
    blocks, tokens = max(known, default=(0, 0))
    blocks = blocks or int(max(_within(_samples(page, names.blocks), MOST_BLOCKS), default=0))
    tokens = tokens or int(max(_within(_samples(page, names.block_tokens), MOST_BLOCKS), default=0))
    return tokens or None, blocks or None


def _newest_labels(found: Iterable[Sample]) -> dict[str, str]:
    newest: Sample | None = None
    for sample in found:
        if newest is None or sample.value > newest.value:
            newest = sample
    return newest.labels if newest else {}


def _count(text: str) -> int | None:
    """A positive whole number; None for everything else (an engine writes `None` or 0 for what it does not have)."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        return None
    number = int(text)
    return number if 0 < number <= MOST_BLOCKS else None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
