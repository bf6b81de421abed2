"""active-request-scorer: prefers endpoints with few of our own unfinished requests.

score = 1 if n <= idleThreshold, else (max - n) / max * maxBusyScore; n is our in-flight count, max the largest among
the candidates. It needs no scraping, so it is never stale.
Source: active-request-scorer of the reference endpoint picker.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn


class ActiveRequestParameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Parameters as in the reference; `requestTimeout` is deprecated there and has no effect here: nothing expires."""

    idle_threshold: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_busy_score: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    in_flight_load_producer_name: str = ""
    request_timeout: str = ""


class ActiveRequestScorer:
    """See the module."""

    def __init__(self, parameters: ActiveRequestParameters) -> None:
        self._idle_threshold = parameters.idle_threshold
        self._max_busy_score = parameters.max_busy_score

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        counts = cycle.in_flight(candidates)
        most = int(counts.max())
        if most <= self._idle_threshold:
            return np.ones(len(candidates))
        busy = (most - counts) / most * self._max_busy_score
        return np.where(counts <= self._idle_threshold, 1.0, busy)
