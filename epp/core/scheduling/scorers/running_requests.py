"""running-requests-size-scorer: prefers small engine batches.

score = (max - r) / (max - min) over the candidates, 1 when all are equal; r is the scraped number of running requests.
Source: running-requests-size-scorer of the reference endpoint picker (v1.3 and later).
"""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.scorers.normalize import lower_is_better
from epp.core.state.columns import FloatColumn


class RunningRequestsScorer:
    """No parameters."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return lower_is_better(cycle.scraped("running", candidates))
