"""session-affinity-scorer: prefers the endpoint that served the session before.

score = 1 for the endpoint to which the session is bound, else 0; 0 for everybody when the session is new, its endpoint
gone or restarted, or its token unknown. How sessions are bound: epp.core.scheduling.session_bonds.
Source: session-affinity-scorer of the reference endpoint picker, with another token.
"""

import numpy as np

from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.session_bonds import SessionAffinityParameters, bond_of
from epp.core.scheduling.session_token import SessionKey
from epp.core.state.columns import FloatColumn


class SessionAffinityScorer:
    """`key`: see session_token."""

    def __init__(self, parameters: SessionAffinityParameters, key: SessionKey) -> None:
        self._bond = bond_of(parameters, key)

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        bound = self._bond.bound_slot(cycle)
        if bound is None:
            return np.zeros(len(candidates))
        return np.where(candidates.slots == bound, 1.0, 0.0)

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """Binds the session to the slot of `reservation`."""
        self._bond.picked(cycle, reservation)

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """What the client is to keep."""
        return self._bond.response_header(endpoint)
