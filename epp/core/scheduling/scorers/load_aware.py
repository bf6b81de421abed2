"""load-aware-scorer: prefers endpoints with an empty engine queue, by an absolute measure.

score = 0.5 * (1 - min(q, threshold) / threshold), which is 0.5 for an empty queue and 0 from the threshold on; q is
the scraped number of waiting requests. Unlike queue-scorer it does not compare the candidates with one another.
With inflightCorrection (default) our own books are its lower bound: what was sent since the scrape counts.
Source: load-aware-scorer of the reference endpoint picker.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.scorers.scraped_signal import ScrapedSignalParameters
from epp.core.state.columns import FloatColumn

BEST = 0.5


class LoadAwareParameters(ScrapedSignalParameters, frozen=True):
    """`threshold`: waiting requests from which on an endpoint has the score 0."""

    threshold: Annotated[int, msgspec.Meta(ge=1)] = 128


class LoadAwareScorer:
    """See the module."""

    def __init__(self, parameters: LoadAwareParameters) -> None:
        self._parameters = parameters
        self._threshold = parameters.threshold

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module; what is no number counts as a full queue."""
        waiting = np.fmin(self._parameters.read("waiting", cycle, candidates), self._threshold)
        scores: FloatColumn = BEST * (1.0 - np.maximum(waiting, 0.0) / self._threshold)
        return scores
