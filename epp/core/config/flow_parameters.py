"""Parameters of the plugin types of flow control. Names and defaults are those of the reference (llm-d-router)."""

from typing import Annotated, Literal

import msgspec

from epp.core.config.parameters import NotNegative, Positive
from epp.core.config.structure import Section

DEFAULT_TTL_S = 60.0
DEFAULT_FAIRNESS = "global-strict-fairness-policy"
DEFAULT_ORDERING = "fcfs-ordering-policy"
DEFAULT_USAGE_LIMIT = "static-usage-limit-policy"
DEFAULT_BAND_BYTES = 1_000_000_000
DEFAULT_BAND_REQUESTS = 5_000
"""defaults of the section `flowControl`"""

_Seconds = Annotated[float, msgspec.Meta(gt=0.0)]


class ConcurrencyDetectorParameters(Section, frozen=True):
    """concurrency-detector: limits per endpoint."""

    max_concurrency: Positive = 100
    """requests"""
    max_token_concurrency: Positive = 1_000_000
    """prompt tokens"""
    concurrency_mode: Literal["requests", "tokens", "hybrid"] = "requests"
    headroom: NotNegative = 0.0
    """as a filter: endpoints are kept below (1 + headroom) of their limit"""
    in_flight_load_producer_name: str = ""
    """without effect: the picker counts by itself"""


class StaticUsageLimitParameters(Section, frozen=True):
    """static-usage-limit-policy: one ceiling for every priority band."""

    threshold: NotNegative = 1.0


class PriorityHoldbackParameters(Section, frozen=True):
    """priority-holdback-policy: ceilings are saturations. `minCeiling` has no default: none is right for everybody."""

    min_ceiling: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
    max_ceiling: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 1.0
    shape: Literal["linear"] = "linear"
    domain: Literal["rank", "value"] = "rank"

    def __post_init__(self) -> None:
        if self.min_ceiling > self.max_ceiling:
            raise ValueError(f"minCeiling {self.min_ceiling:g} is above maxCeiling {self.max_ceiling:g}")


class ProgramAwareParameters(Section, frozen=True):
    """program-aware-fairness; tenants without any service for `evictionTtlSeconds` are forgotten as they go."""

    strategy: Literal["las"] = "las"
    eviction_ttl_seconds: _Seconds = 3600.0
    eviction_sweep_seconds: _Seconds = 300.0
    """without effect: nothing is swept"""
    las_weight_service: NotNegative = 0.8
    las_weight_head_wait: NotNegative = 0.2
    las_half_life_seconds: _Seconds = 60.0
