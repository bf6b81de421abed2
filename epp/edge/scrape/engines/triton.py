"""Triton without an LLM backend: queue and executions only, as the reference reads them."""

from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import MetricNames

TRITON = MetricNames(
    waiting=MetricSpec("nv_inference_pending_request_count"),
    running=MetricSpec("nv_inference_exec_count"),
)
