"""vLLM."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

VLLM = MetricNames(
    waiting=MetricSpec("vllm:num_requests_waiting"),
    running=MetricSpec("vllm:num_requests_running"),
    kv_usage=(
        MetricSpec("vllm:kv_cache_usage_perc"),
        MetricSpec("vllm:gpu_cache_usage_perc"),  # until vLLM 0.9
    ),
    cache_info=MetricSpec("vllm:cache_config_info"),
    block_tokens_label="block_size",
    blocks_label="num_gpu_blocks",
    lora_info=MetricSpec("vllm:lora_requests_info"),
)
