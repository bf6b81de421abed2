"""topology-affinity-scorer: prefers endpoints near the one that an earlier stage of the same request picked.

score by the nearest place shared with that endpoint: host 1, rack 0.2, zone 0.05, region 0.02, none 0; the steps follow
the bandwidth between them, over which the KV cache travels. 0 for everybody in the first profile of a request, and for
an endpoint of which nothing is known.
Source: topology-affinity-scorer of the reference endpoint picker; places come from topology-extractor.
"""

import numpy as np

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.topology import Topology, peer_position
from epp.core.state.columns import FloatColumn

LEVEL_SCORES = np.array([1.0, 0.2, 0.05, 0.02])


class TopologyAffinityScorerParameters(Section, frozen=True):
    """Parameters of the reference."""

    topology_producer_name: str = ""
    """filled in when the configuration is loaded"""


class TopologyAffinityScorer:
    """See the module."""

    def __init__(self, parameters: TopologyAffinityScorerParameters) -> None:
        self._producer = parameters.topology_producer_name

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        peer = peer_position(cycle)
        topology: Topology | None = cycle.products.get(self._producer)
        if peer is None or topology is None:
            return np.zeros(len(candidates))
        scores: FloatColumn = (topology.shared_with(peer, candidates) * LEVEL_SCORES).max(axis=1)
        return scores
