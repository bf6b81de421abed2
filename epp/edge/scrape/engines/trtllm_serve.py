"""trtllm-serve of TensorRT-LLM."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

TRTLLM_SERVE = MetricNames(
    waiting=MetricSpec("trtllm_num_requests_waiting"),
    running=MetricSpec("trtllm_num_requests_running"),
    kv_usage=(MetricSpec("trtllm_kv_cache_utilization"),),
    block_tokens=MetricSpec("trtllm_kv_cache_tokens_per_block"),
    blocks=MetricSpec("trtllm_kv_cache_max_blocks"),
)
