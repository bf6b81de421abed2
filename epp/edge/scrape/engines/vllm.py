"""vLLM."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames, TotalNames

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
    totals=TotalNames(
        first_token_s=MetricSpec("vllm:time_to_first_token_seconds_sum"),
        first_tokens=MetricSpec("vllm:time_to_first_token_seconds_count"),
        prefill_s=MetricSpec("vllm:request_prefill_time_seconds_sum"),
        prefills=MetricSpec("vllm:request_prefill_time_seconds_count"),
        token_gap_s=(
            MetricSpec("vllm:inter_token_latency_seconds_sum"),
            MetricSpec("vllm:time_per_output_token_seconds_sum"),  # the older name
        ),
        token_gaps=(
            MetricSpec("vllm:inter_token_latency_seconds_count"),
            MetricSpec("vllm:time_per_output_token_seconds_count"),
        ),
        prompt_tokens=MetricSpec("vllm:prompt_tokens_total"),
        cached_tokens=(
            MetricSpec("vllm:prefix_cache_hits_total"),
            MetricSpec("vllm:gpu_prefix_cache_hits_total"),  # the older name
        ),
        output_tokens=MetricSpec("vllm:generation_tokens_total"),
    ),
)
