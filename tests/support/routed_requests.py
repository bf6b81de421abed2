"""Requests that were routed, made by hand: for tests of what comes after routing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from epp.core.domain.decision import Decision, Reservation, ScoreCard, ScorerColumn, plain
from epp.core.domain.endpoint import NO_LABELS, Endpoint
from epp.core.domain.ports import Outcome, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest


def endpoint(
    number: int = 0, *, rank: int = 0, namespace: str = "default", labels: Mapping[str, str] = NO_LABELS
) -> Endpoint:
    """Pod `vllm-<number>` at 10.0.0.<number + 1>, port 8000 + rank."""
    return Endpoint.create(
        namespace=namespace,
        pod=f"vllm-{number}",
        rank=rank,
        address=f"10.0.0.{number + 1}",
        port=8000 + rank,
        labels=labels,
    )


def decision(
    request: InferenceRequest,
    *endpoints: Endpoint,
    serial: int = 1,
    scores: Mapping[str, Sequence[float]] | None = None,
    weight: float = 1.0,
    scheduler_s: float = 0.0,
    **more: Any,
) -> Decision:
    """The endpoints were picked in this order; all of them were candidates, with these scores by plugin.

    `more` are fields of Decision.
    """
    picked = endpoints or (endpoint(),)
    columns = tuple(ScorerColumn(plugin, weight, np.array(values)) for plugin, values in (scores or {}).items())
    totals = weight * np.sum([plain(column.scores) for column in columns], axis=0) if columns else np.zeros(len(picked))
    return Decision(
        request=request,
        endpoints=picked,
        destinations=more.pop("destinations", None) or ",".join(one.destination for one in picked),
        reservation=Reservation(slot=0, generation=1, serial=serial, tokens=12),
        card=ScoreCard("default", picked, columns, totals),
        scheduler_s=scheduler_s,
        **more,
    )


def report(
    *,
    outcome: Outcome = Outcome.COMPLETE,
    status: int = 200,
    duration_s: float = 2.0,
    response_bytes: int | None = None,
    first_token_s: float | None = None,
    usage: TokenUsage | None = None,
    served: str = "",
) -> RequestReport:
    """A request that ended well after two seconds, and nothing else is known."""
    return RequestReport(
        outcome=outcome,
        status=status,
        duration_s=duration_s,
        request_bytes=0,
        response_bytes=response_bytes,
        first_token_s=first_token_s,
        usage=usage,
        served=served,
    )
