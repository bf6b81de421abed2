"""The picker of another cluster: averages over its pool, in both dialects of its metric names."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

POOL_AVERAGES = MetricNames(
    waiting=MetricSpec("llm_d_epp_average_queue_size"),
    waiting_else=MetricSpec("inference_pool_average_queue_size"),
    running=None,
    kv_usage=(
        MetricSpec("llm_d_epp_average_kv_cache_utilization"),
        MetricSpec("inference_pool_average_kv_cache_utilization"),
    ),
    servers=(MetricSpec("llm_d_epp_ready_endpoints"), MetricSpec("inference_pool_ready_pods")),
)
