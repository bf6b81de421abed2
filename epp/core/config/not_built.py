"""Plugin types of the reference that are left out on purpose, and what to use in their place.

The page docs/policies/not-built.md is this table for readers.
"""

from collections.abc import Mapping

import msgspec

PAGE = "docs/policies/not-built.md"


class NotBuilt(msgspec.Struct, frozen=True):
    """Why a type is left out, and the types that serve its purpose best."""

    why: str
    instead: tuple[str, ...]

    def problem(self, name: str) -> str:
        """What to tell a user of the type."""
        return f"{name} is not built here: {self.why}; see {PAGE}"

    @property
    def suggestion(self) -> str:
        """What to use in its place."""
        return f"use {' or '.join(self.instead)}"


_LATENCY = "it needs servers that learn and predict latencies"
_GPU = "GPU utilization says little of the work that waits, and its exporter knows nothing of pods"
_MULTIMODAL = "which endpoint has which image embedding is not tracked"

NOT_BUILT: Mapping[str, NotBuilt] = {
    "predicted-latency-producer": NotBuilt(_LATENCY, ("expected-cost-scorer",)),
    "predicted-latency-scorer": NotBuilt(_LATENCY, ("expected-cost-scorer",)),
    "latency-scorer": NotBuilt(_LATENCY, ("expected-cost-scorer",)),
    "slo-headroom-tier-filter": NotBuilt(_LATENCY, ("utilization-filter", "slo-deadline-ordering-policy")),
    "latency-slo-admitter": NotBuilt(_LATENCY, ("probabilistic-admitter",)),
    "dcgm-data-source": NotBuilt(_GPU, ("queue-scorer", "kv-cache-utilization-scorer")),
    "dcgm-extractor": NotBuilt(_GPU, ("core-metrics-extractor",)),
    "mm-embeddings-cache-producer": NotBuilt(_MULTIMODAL, ("precise-prefix-cache-producer",)),
    "mm-embeddings-cache-scorer": NotBuilt(_MULTIMODAL, ("prefix-cache-scorer", "session-affinity-scorer")),
}
