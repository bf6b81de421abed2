"""concurrency-detector: saturation from our own counts alone, exact at every grant.

requests: sum of requests in flight / (endpoints * maxConcurrency); tokens: the same with prompt tokens and
maxTokenConcurrency; hybrid: mean over the endpoints of the larger of the two ratios. An empty pool is 1.0.
Source: concurrency-detector of llm-d-router.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np

from epp.core.config.structure import Section
from epp.core.flow.stages import by_stage
from epp.core.scheduling.cycle import Candidates
from epp.core.state.columns import FloatColumn
from epp.core.state.ledger import InFlightLedger

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class ConcurrencyDetectorParameters(Section, frozen=True):
    """Limits per endpoint."""

    max_concurrency: _Positive = 100
    """requests"""
    max_token_concurrency: _Positive = 1_000_000
    """prompt tokens"""
    concurrency_mode: Literal["requests", "tokens", "hybrid"] = "requests"
    headroom: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    """as a filter: endpoints are kept below (1 + headroom) of their limit"""
    in_flight_load_producer_name: str = ""
    """without effect: the picker counts by itself"""


def endpoint_ratios(
    candidates: Candidates, ledger: InFlightLedger, limits: ConcurrencyDetectorParameters
) -> FloatColumn:
    """Shape (candidates,): how full each endpoint is, 1.0 is full."""
    requests = ledger.requests[candidates.slots] / limits.max_concurrency
    if limits.concurrency_mode == "requests":
        return requests
    tokens = ledger.tokens[candidates.slots] / limits.max_token_concurrency
    return tokens if limits.concurrency_mode == "tokens" else np.maximum(requests, tokens)


def concurrency(candidates: Candidates, ledger: InFlightLedger, limits: ConcurrencyDetectorParameters) -> float:
    """Of the fuller stage where there are several; 0.0 is idle.

    Equal limits for all endpoints make the ratio of sums the mean of ratios.
    """
    return by_stage(candidates, lambda chosen: float(endpoint_ratios(chosen, ledger, limits).mean())).effective


def below_headroom(candidates: Candidates, ledger: InFlightLedger, limits: ConcurrencyDetectorParameters) -> Candidates:
    """The detector as a filter; everybody when nobody has room, because queues are the place to wait."""
    fits = endpoint_ratios(candidates, ledger, limits) < 1.0 + limits.headroom
    return candidates.keep(fits) if fits.any() else candidates
