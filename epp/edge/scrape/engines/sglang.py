"""SGLang."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

SGLANG = MetricNames(
    waiting=MetricSpec("sglang:num_queue_reqs"),
    running=MetricSpec("sglang:num_running_reqs"),
    kv_usage=(MetricSpec("sglang:token_usage"),),
    cache_info=MetricSpec("sglang:cache_config_info"),
    block_tokens_label="page_size",
    blocks_label="num_pages",
)
