"""topology-affinity-filter: only endpoints near the one that an earlier stage of the same request picked.

An endpoint stays when it shares a place of level minAffinity or nearer with that endpoint. Everybody stays in the first
profile of a request, and when nobody is near enough.
Source: topology-affinity-filter of the reference endpoint picker; places come from topology-extractor.
"""

from typing import Literal

import numpy as np

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import Mask
from epp.core.scheduling.producers.topology import LEVELS, Topology, peer_position


class TopologyAffinityFilterParameters(Section, frozen=True):
    """Parameters of the reference."""

    min_affinity: Literal["host", "rack", "zone", "region"] = "host"
    topology_producer_name: str = ""
    """filled in when the configuration is loaded"""


class TopologyAffinityFilter:
    """See the module."""

    def __init__(self, parameters: TopologyAffinityFilterParameters) -> None:
        self._levels = LEVELS.index(parameters.min_affinity) + 1
        self._producer = parameters.topology_producer_name

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        peer = peer_position(cycle)
        topology: Topology | None = cycle.products.get(self._producer)
        if peer is None or topology is None:
            return candidates
        near: Mask = np.asarray(topology.shared_with(peer, candidates)[:, : self._levels].any(axis=1))
        return candidates.keep(near) if near.any() else candidates
