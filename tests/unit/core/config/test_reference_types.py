"""Every plugin type that the reference has or had is built, or is named with advice; and whether it is experimental."""

import pytest

from epp.core.config.catalogue import Stability
from epp.core.config.not_built import NOT_BUILT
from epp.core.scheduling.catalogue import CATALOGUE

BETA = """
    max-score-picker random-picker weighted-random-picker single-profile-handler data-parallel-profile-handler
    disagg-profile-handler pd-profile-handler disagg-headers-handler prefill-header-handler prefix-based-pd-decider
    always-disagg-pd-decider always-disagg-multimodal-decider queue-scorer running-requests-size-scorer
    kv-cache-utilization-scorer load-aware-scorer lora-affinity-scorer token-load-scorer active-request-scorer
    prefix-cache-scorer precise-prefix-cache-scorer no-hit-lru-scorer context-length-aware decode-filter prefill-filter
    encode-filter by-label label-selector-filter prefix-cache-affinity-filter header-based-testing-filter
    utilization-detector concurrency-detector token-producer approx-prefix-cache-producer inflight-load-producer
    precise-prefix-cache-producer session-id-producer probabilistic-admitter request-attribute-reporter
    destination-endpoint-served-verifier metrics-data-source core-metrics-extractor endpoint-notification-source
    models-data-source models-data-extractor k8s-notification-source
    file-discovery global-strict-fairness-policy round-robin-fairness-policy program-aware-fairness
    fcfs-ordering-policy edf-ordering-policy slo-deadline-ordering-policy static-usage-limit-policy
    openai-parser anthropic-parser vllmhttp-parser sglanghttp-parser vllmgrpc-parser vertexai-parser passthrough-parser
"""
ALPHA = """
    disaggregatedset-rollout-screener session-affinity-filter session-affinity-scorer endpoint-attribute-filter
    endpoint-attribute-scorer topology-affinity-filter topology-affinity-scorer topology-extractor utilization-filter
    header-label-affinity-scorer header-profile-handler p2p-source-producer burst-prefix-cache-producer
    sheddable-eviction-filter
    priority-then-time-eviction-order-policy priority-holdback-policy soft-reflective-ceiling-policy agent-identity
"""
ABSENT = """
    latency-scorer predicted-latency-scorer slo-headroom-tier-filter latency-slo-admitter predicted-latency-producer
    mm-embeddings-cache-scorer mm-embeddings-cache-producer dcgm-data-source dcgm-extractor
"""
FORMER_NAMES = {
    "by-label-selector": "label-selector-filter",
    "tokenizer": "token-producer",
    "model-server-protocol-metrics": "core-metrics-extractor",
    "eviction-sheddable-filter": "sheddable-eviction-filter",
    "eviction-priority-then-time-ordering": "priority-then-time-eviction-order-policy",
}


@pytest.mark.parametrize(
    ("names", "stability"), [(BETA, Stability.BETA), (ALPHA, Stability.ALPHA)], ids=["beta", "alpha"]
)
def test_who_is_experimental(names: str, stability: Stability) -> None:
    assert {name: CATALOGUE[name].stability for name in names.split()} == dict.fromkeys(names.split(), stability)


@pytest.mark.parametrize(("former", "name"), FORMER_NAMES.items(), ids=FORMER_NAMES)
def test_former_names_are_known(former: str, name: str) -> None:
    assert CATALOGUE[former] is CATALOGUE[name]


def test_the_others_are_named_with_advice() -> None:
    assert sorted(NOT_BUILT) == sorted(ABSENT.split())
    assert [name for name in NOT_BUILT if CATALOGUE.find(name) is not None] == []
