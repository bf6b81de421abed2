"""topology-extractor: where each endpoint is, as four levels from near to far: host, rack, zone, region.

The value of a level is that of a label of the pod, by default the usual labels of nodes. The picker reads pods and no
nodes, so these labels must be on the pods (newer Kubernetes copies zone and region there; rack is for the operator).
Without the default host label the node that the pod is scheduled on (`spec.nodeName`) is its host.
Source: topology-extractor of the reference endpoint picker.
"""

import numpy as np
from numpy.typing import NDArray

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.snapshot import PoolSnapshot

HOSTNAME_LABEL = "kubernetes.io/hostname"
LEVELS = ("host", "rack", "zone", "region")
UNKNOWN = -1

Codes = NDArray[np.int64]


class TopologyExtractorParameters(Section, frozen=True):
    """Names of labels."""

    hostname: Text = HOSTNAME_LABEL
    rack: Text = "topology.kubernetes.io/rack"
    zone: Text = "topology.kubernetes.io/zone"
    region: Text = "topology.kubernetes.io/region"


class Topology:
    """Shape (endpoints, levels): equal numbers are the same place, UNKNOWN is nowhere."""

    __slots__ = ("_codes",)

    def __init__(self, codes: Codes) -> None:
        self._codes = codes

    def shared_with(self, position: int, candidates: Candidates) -> NDArray[np.bool_]:
        """Which levels each candidate shares with the endpoint at `position`; shape (candidates, levels)."""
        here = self._codes[position]
        shared: NDArray[np.bool_] = (self._codes[candidates.positions] == here) & (here != UNKNOWN)
        return shared


class TopologyExtractor:
    """Produces the Topology of the pool; worked out once per snapshot."""

    def __init__(self, parameters: TopologyExtractorParameters) -> None:
        self._labels = (parameters.hostname, parameters.rack, parameters.zone, parameters.region)
        self._topology = PerSnapshot(self._read)

    def produce(self, cycle: Cycle, candidates: Candidates) -> Topology:  # noqa: ARG002  protocol's shape
        """Of everybody, since a peer need not be a candidate."""
        return self._topology.of(cycle.snapshot)

    def _read(self, snapshot: PoolSnapshot) -> Topology:
        codes = np.full((len(snapshot.endpoints), len(LEVELS)), UNKNOWN, dtype=np.int64)
        for level, label in enumerate(self._labels):
            known: dict[str, int] = {}
            for position, endpoint in enumerate(snapshot.endpoints):
                place = _place(endpoint, label)
                if place:
                    codes[position, level] = known.setdefault(place, len(known))
        return Topology(codes)


def _place(endpoint: Endpoint, label: str) -> str:
    place = endpoint.labels.get(label, "")
    return endpoint.node if not place and label == HOSTNAME_LABEL else place


def peer_position(cycle: Cycle) -> int | None:
    """Of the endpoint that an earlier profile picked for the request, in the snapshot; None for the first profile."""
    for name, result in cycle.results.items():
        if result is not None and name != cycle.profile:
            return result.position
    return None
