"""Which metric of an engine means what."""

import msgspec

from epp.edge.scrape.exposition import MetricSpec


class TotalNames(msgspec.Struct, frozen=True):
    """Sums and counts since the engine's start, as in EngineTotals; of alternatives the first on the page counts."""

    first_token_s: MetricSpec
    first_tokens: MetricSpec
    prefill_s: MetricSpec
    prefills: MetricSpec
    token_gap_s: tuple[MetricSpec, ...]
    token_gaps: tuple[MetricSpec, ...]
    prompt_tokens: MetricSpec
    cached_tokens: tuple[MetricSpec, ...]
    output_tokens: MetricSpec


class CustomMetric(msgspec.Struct, frozen=True):
    """A metric that only the configuration knows."""

    key: str
    """of the endpoint attribute that it becomes"""
    spec: MetricSpec


class MetricNames(msgspec.Struct, frozen=True):
    """One dialect; None where the engine has no such metric."""

    waiting: MetricSpec | None
    """requests in the engine's queue"""
    running: MetricSpec | None
    """requests in the engine's batch"""
    waiting_else: MetricSpec | None = None
    """another spelling of `waiting`, for pages without it"""
    kv_usage: tuple[MetricSpec, ...] = ()
    """used fraction of the KV cache; the first one that the page has counts"""
    cache_info: MetricSpec | None = None
    """info metric whose labels are the block size and the number of blocks"""
    block_tokens_label: str = ""
    blocks_label: str = ""
    block_tokens: MetricSpec | None = None
    """gauge of the block size, where it is no label"""
    blocks: MetricSpec | None = None
    """gauge of the number of blocks, where it is no label"""
    lora_info: MetricSpec | None = None
    """info metric of the LoRA adapters"""
    totals: TotalNames | None = None
    servers: tuple[MetricSpec, ...] = ()
    """number of servers that the page speaks for; without any it tells no load"""
    custom: tuple[CustomMetric, ...] = ()
