"""queue-scorer: prefers short engine queues.

score = (max - q) / (max - min) over the candidates, 1 when all are equal; q is the scraped number of waiting requests.
Source: queue-scorer of the reference endpoint picker.
"""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.scorers.normalize import lower_is_better
from epp.core.state.columns import FloatColumn


class QueueScorer:
    """No parameters."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        return lower_is_better(cycle.scraped("waiting", candidates))
