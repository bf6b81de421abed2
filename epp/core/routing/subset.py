"""The subset hint: Envoy may restrict a request to some endpoints (endpoint picker protocol, proposal 004).

Entries are `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`. An entry with a port names exactly that endpoint, one without
names every port of the address. The reference compares the text before the last colon only, which is wrong for
several ports on one pod and for IPv6.
"""

import numpy as np

from epp.core.scheduling.cycle import Candidates
from epp.core.state.snapshot import PoolSnapshot


def within_subset(snapshot: PoolSnapshot, subset: tuple[str, ...]) -> Candidates:
    """The endpoints that the hint names, in the pool's order; empty when it names nobody of the pool."""
    positions: set[int] = set()
    for entry in subset:
        position = snapshot.by_destination.get(entry)
        if position is not None:
            positions.add(position)
        else:
            positions.update(snapshot.by_address.get(entry.strip("[]"), ()))
    return Candidates(snapshot, np.array(sorted(positions), dtype=np.intp))
