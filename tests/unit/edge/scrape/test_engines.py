"""Every engine's page, in its own dialect."""

import pytest

from epp.core.config.data_layer import KNOWN_ENGINES
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.edge.scrape.dialects import Dialects
from epp.edge.scrape.engines import ENGINES
from epp.edge.scrape.engines.endpoint_picker import POOL_AVERAGES
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.load_scan import NO_LOAD, scan

PAGES = {
    "vllm": b"""\
vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_running{engine="0"} 7
vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:cache_config_info{block_size="32",num_gpu_blocks="1000"} 1
""",
    "sglang": b"""\
sglang:num_queue_reqs{model_name="m"} 3
sglang:num_running_reqs{model_name="m"} 7
sglang:token_usage{model_name="m"} 0.5
sglang:cache_config_info{page_size="32",num_pages="1000"} 1
""",
    "trtllm-serve": b"""\
trtllm_num_requests_waiting 3
trtllm_num_requests_running 7
trtllm_kv_cache_utilization 0.5
trtllm_kv_cache_tokens_per_block 32
trtllm_kv_cache_max_blocks 1000
""",
    "triton-tensorrt-llm": b"""\
nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 3
nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 7
nv_trt_llm_request_metrics{model="m",request_type="max",version="1"} 512
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="m"} 0.5
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="tokens_per",model="m"} 32
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max",model="m"} 1000
""",
}


@pytest.mark.parametrize("engine", PAGES)
def test_the_same_load_in_every_dialect(engine: str) -> None:
    expected = LoadReport(waiting=3, running=7, kv_usage=0.5, kv_block_tokens=32, kv_blocks=1000)
    assert scan(PAGES[engine], ENGINES[engine]) == expected


def test_triton_tells_queue_and_executions_only() -> None:
    page = b'nv_inference_pending_request_count{model="m"} 3\nnv_inference_exec_count{model="m"} 7\n'
    assert scan(page, ENGINES["triton"]) == LoadReport(waiting=3, running=7)


def test_several_engines_on_one_page_are_summed_or_the_fullest_counts() -> None:
    page = b"""\
sglang:num_queue_reqs{rank="0"} 1
sglang:num_queue_reqs{rank="1"} 2
sglang:token_usage{rank="0"} 0.9
sglang:token_usage{rank="1"} 0.1
"""
    assert scan(page, ENGINES["sglang"]) == LoadReport(waiting=3, kv_usage=0.9)


def test_a_page_in_another_dialect_says_nothing() -> None:
    assert scan(PAGES["vllm"], ENGINES["sglang"]) == LoadReport()


@pytest.mark.parametrize("label", ["llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type"])
def test_each_pod_is_read_in_its_own_dialect(label: str) -> None:
    dialects = Dialects(ENGINES, VLLM)
    pod = Endpoint.create(
        namespace="default", pod="p", rank=0, address="10.0.0.1", port=8000, labels={label: "trtllm-serve"}
    )
    assert dialects.reader_of(pod)(PAGES["trtllm-serve"]).waiting == 3
    assert dialects.reader_of(pod)(PAGES["vllm"]).waiting is None


def test_configurations_know_the_same_engines() -> None:
    assert set(KNOWN_ENGINES) == set(ENGINES)


@pytest.mark.parametrize("family", ["llm_d_epp", "inference_pool"])
def test_the_averages_of_a_cluster(family: str) -> None:
    page = f'{family}_average_queue_size{{name="p"}} 2.5\n{family}_average_kv_cache_utilization{{name="p"}} 0.5\n'
    assert scan(page.encode(), POOL_AVERAGES) == LoadReport(waiting=2.5, kv_usage=0.5)


def test_the_newer_names_of_averages_go_first() -> None:
    page = b"inference_pool_average_queue_size 9\nllm_d_epp_average_queue_size 1\n"
    assert scan(page, POOL_AVERAGES).waiting == 1.0


@pytest.mark.parametrize("count", ["llm_d_epp_ready_endpoints", "inference_pool_ready_pods"])
def test_a_cluster_without_servers_tells_no_load_although_averages_are_left(count: str) -> None:
    averages = "llm_d_epp_average_queue_size 0\nllm_d_epp_average_kv_cache_utilization 0\n"
    assert scan(f'{averages}{count}{{name="p"}} 0\n'.encode(), POOL_AVERAGES) == NO_LOAD
    assert scan(f'{averages}{count}{{name="p"}} 1\n'.encode(), POOL_AVERAGES) == LoadReport(waiting=0.0, kv_usage=0.0)
