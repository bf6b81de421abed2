"""Triton with the TensorRT-LLM backend: one metric, told apart by a label."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

_REQUESTS = "nv_trt_llm_request_metrics"
_BLOCKS = "nv_trt_llm_kv_cache_block_metrics"

TRITON_TENSORRT_LLM = MetricNames(
    waiting=MetricSpec(_REQUESTS, (("request_type", "waiting"),)),
    running=MetricSpec(_REQUESTS, (("request_type", "scheduled"),)),
    kv_usage=(MetricSpec(_BLOCKS, (("kv_cache_block_type", "fraction"),)),),
    block_tokens=MetricSpec(_BLOCKS, (("kv_cache_block_type", "tokens_per"),)),
    blocks=MetricSpec(_BLOCKS, (("kv_cache_block_type", "max"),)),
)
