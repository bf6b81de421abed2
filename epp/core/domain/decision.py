"""A decision: where one request goes, and the numbers that led there.

The values are not tracked by the cyclic garbage collector (`gc=False`): nothing in them refers back to them, and one
decision makes several of them.
"""

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.request import InferenceRequest


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A place taken in the in-flight ledger by a pick; `generation` guards against a slot that was used again."""

    slot: int
    generation: int
    serial: int
    """unique per ledger; releasing the same serial twice changes nothing"""
    tokens: int
    """prompt tokens that were added for this request"""


class ScorerColumn(msgspec.Struct, frozen=True, gc=False):
    """One scorer's opinion of all candidates, in their order."""

    plugin: str
    weight: float
    scores: NDArray[np.float64]
    """shape (candidates,), each in 0..1, before the weight"""


class ScoreCard(msgspec.Struct, frozen=True, gc=False):
    """Why an endpoint was picked: the candidates and what every scorer said of them."""

    profile: str
    candidates: tuple[Endpoint, ...]
    columns: tuple[ScorerColumn, ...]
    totals: NDArray[np.float64]
    """shape (candidates,): sum of weight * score"""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer to one request."""

    request: InferenceRequest
    """as routing resolved it: priority and target model are final; without the prompt, so that no body is kept alive"""
    endpoints: tuple[Endpoint, ...]
    """the picked endpoint first, then the fallbacks in order; never empty"""
    destinations: str
    """comma-separated value for header and metadata"""
    reservation: Reservation
    card: ScoreCard
    scheduler_s: float = 0.0
    """what the decision cost, without the time that the request waited"""
    lessons: tuple[Callable[[], None], ...] = ()
    """what plugins learn from this decision; run after the reply was written"""
    response_markers: tuple[Callable[[Endpoint], tuple[str, str] | None], ...] = ()
    """each says which header the response gets, from the endpoint that served it"""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that holds the reservation."""
        return self.endpoints[0]

    def response_headers(self, served: Endpoint) -> tuple[tuple[str, str], ...]:
        """Headers that plugins put on the response when `served` gave it."""
        found = (marker(served) for marker in self.response_markers)
        return tuple(header for header in found if header is not None)
