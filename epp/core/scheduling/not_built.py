"""Plugin types of the reference that this picker does not have, and what to do about it: for messages."""

from collections.abc import Mapping

_NO_PREDICTOR = "no model of latency is trained or asked; expected-cost-scorer estimates seconds from what is known"
_NO_GPU_COUNTERS = "GPU counters are not read; kv-cache-utilization-scorer and running-requests-size-scorer show load"
_NO_MODEL_LISTS = "pods are not asked which models they serve; lora-affinity-scorer knows adapters from their metrics"
_NO_EMBEDDINGS = "caches of multimodal embeddings are not followed; remove it"

NOT_BUILT: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "predicted-latency-producer",
            "predicted-latency-scorer",
            "latency-scorer",
            "latency-slo-admitter",
            "slo-headroom-tier-filter",
        ),
        _NO_PREDICTOR,
    ),
    **dict.fromkeys(("dcgm-data-source", "dcgm-extractor"), _NO_GPU_COUNTERS),
    **dict.fromkeys(("models-data-source", "models-data-extractor"), _NO_MODEL_LISTS),
    **dict.fromkeys(("mm-embeddings-cache-producer", "mm-embeddings-cache-scorer"), _NO_EMBEDDINGS),
    "k8s-notification-source": "no plugin listens to objects of other kinds; remove it",
}
"""type to advice"""
