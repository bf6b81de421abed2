"""Metric names of the model servers, one file per engine; sources: model server protocol (proposal 003), reference."""

from collections.abc import Mapping

from epp.edge.scrape.engines.sglang import SGLANG
from epp.edge.scrape.engines.triton import TRITON
from epp.edge.scrape.engines.triton_tensorrt_llm import TRITON_TENSORRT_LLM
from epp.edge.scrape.engines.trtllm_serve import TRTLLM_SERVE
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.metric_names import MetricNames

ENGINES: Mapping[str, MetricNames] = {
    "vllm": VLLM,
    "sglang": SGLANG,
    "trtllm-serve": TRTLLM_SERVE,
    "triton-tensorrt-llm": TRITON_TENSORRT_LLM,
    "triton": TRITON,
}
"""by the value of the pod label `llm-d.ai/engine-type`"""
