"""running-requests-size-scorer: prefers small engine batches.

score = (max - r) / (max - min) over the candidates, 1 when all are equal; r is the scraped number of running requests.
With inflightCorrection (default) our own books are its lower bound: what was sent since the scrape counts.
Source: running-requests-size-scorer of the reference endpoint picker (v1.3 and later).
"""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.scorers.normalize import lower_is_better
from epp.core.scheduling.scorers.scraped_signal import CORRECTED, ScrapedSignalParameters
from epp.core.state.columns import FloatColumn


class RunningRequestsScorer:
    """See the module."""

    def __init__(self, parameters: ScrapedSignalParameters = CORRECTED) -> None:
        self._parameters = parameters

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return lower_is_better(self._parameters.read("running", cycle, candidates))
