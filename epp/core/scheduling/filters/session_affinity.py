"""session-affinity-filter: only the endpoint that served the session before.

Everybody stays when the session is new, its endpoint gone, restarted or no candidate, or its token unknown. How
sessions are bound: epp.core.scheduling.session_bonds.
Source: session-affinity-filter of the reference endpoint picker, with another token.
"""

from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.session_bonds import SessionAffinityParameters, bond_of
from epp.core.scheduling.session_token import SessionKey


class SessionAffinityFilter:
    """`key`: see session_token."""

    def __init__(self, parameters: SessionAffinityParameters, key: SessionKey) -> None:
        self._bond = bond_of(parameters, key)

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        bound = self._bond.bound_slot(cycle)
        if bound is None:
            return candidates
        is_bound = candidates.slots == bound
        return candidates.keep(is_bound) if is_bound.any() else candidates

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """Binds the session to the slot of `reservation`."""
        self._bond.picked(cycle, reservation)

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """What the client is to keep."""
        return self._bond.response_header(endpoint)
