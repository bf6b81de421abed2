"""A decision: where one request goes, and the numbers that led there.

The values are not tracked by the cyclic garbage collector (`gc=False`): nothing in them refers back to them, and one
decision makes several of them.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.request import InferenceRequest

if TYPE_CHECKING:
    from epp.core.domain.ports import TokenUsage


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """A place taken in the in-flight ledger by a pick; `generation` guards against a slot that was used again."""

    slot: int
    generation: int
    serial: int
    """unique per ledger; releasing the same serial twice changes nothing"""
    tokens: int
    """prompt tokens that were added for this request"""
    is_further: bool = False
    """for a stage beside the endpoint that answers: a request may have several"""


Scores = NDArray[np.float64] | list[float]
"""one for each candidate; a plain list where there are few of them"""


class ScorerColumn(msgspec.Struct, frozen=True, gc=False):
    """One scorer's opinion of all candidates, in their order."""

    plugin: str
    weight: float
    scores: Scores
    """each in 0..1, before the weight"""


class ScoreCard(msgspec.Struct, frozen=True, gc=False):
    """Why an endpoint was picked: the candidates and what every scorer said of them."""

    profile: str
    candidates: tuple[Endpoint, ...]
    columns: tuple[ScorerColumn, ...]
    totals: Scores
    """sum of weight * score"""


def plain(scores: Scores) -> list[float]:
    """As a list."""
    return scores if isinstance(scores, list) else scores.tolist()


class Stage(Enum):
    """A stage of inference that may run on another endpoint than the one that answers."""

    ENCODE = "encode"
    """images and the like become embeddings"""
    PREFILL = "prefill"
    """the prompt becomes KV cache"""


class StagePick(msgspec.Struct, frozen=True, gc=False):
    """Where a further stage of the request runs."""

    stage: Stage
    endpoints: tuple[Endpoint, ...]
    """the one that is booked first; never empty"""
    reservation: Reservation
    card: ScoreCard


class Disaggregation(msgspec.Struct, frozen=True):
    """What was decided about the stages of a request."""

    stages: str
    """those that run, as the reference writes them: `decode-only`, `prefill-decode`, `encode-prefill-decode`"""
    failed_stage: str = ""
    """one that was wanted and found nobody"""


class MetadataNumber(msgspec.Struct, frozen=True):
    """A number for the gateway's dynamic metadata."""

    namespace: str
    key: str
    number: int


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer to one request."""

    request: InferenceRequest
    """as routing resolved it: priority and target model are final; without prompt and headers, so that nothing
    large is kept alive as long as the decision"""
    endpoints: tuple[Endpoint, ...]
    """the picked endpoint first, then the fallbacks in order; never empty"""
    destinations: str
    """comma-separated value for header and metadata"""
    reservation: Reservation
    card: ScoreCard
    scheduler_s: float = 0.0
    """what the decision cost, without the time that the request waited"""
    lessons: list[Callable[..., None]] = []
    """what plugins learn from this decision; run once after the reply was written, with `sees_answer=False` where the
    answer will not be shown to the picker, and then cleared, because they hold the prompt"""
    response_markers: tuple[Callable[[Endpoint], tuple[str, str] | None], ...] = ()
    """each says which header the response gets, from the endpoint that served it"""
    further: tuple[StagePick, ...] = ()
    """stages that run elsewhere, each with a place of its own in the ledger"""
    request_headers: tuple[tuple[str, str], ...] = ()
    """headers for the model server, names in lower case"""
    disaggregation: Disaggregation | None = None
    """None where the policy does not split requests"""
    reporters: "tuple[Callable[[TokenUsage], MetadataNumber | None], ...]" = ()
    """what plugins tell the gateway of the answer's token usage"""
    served_markers: tuple[Callable[[str], tuple[str, str] | None], ...] = ()
    """the same, from the destination that the gateway says served it; empty where it does not say"""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that holds the reservation."""
        return self.endpoints[0]

    @property
    def destination(self) -> str:
        """Where the proxy was told to go first: the endpoint's own address, or its pod's primary port."""
        return self.destinations.partition(",")[0]

    @property
    def endpoint_scores(self) -> tuple[tuple[str, float], ...]:
        """Destination and total score of every candidate of the profile that answers; made anew by every call.

        Empty where the request goes to another port than that of the picked endpoint: these are nobody's addresses
        then.
        """
        if self.destination != self.endpoint.destination:
            return ()
        scored = zip(self.card.candidates, plain(self.card.totals), strict=True)
        return tuple([(endpoint.destination, total) for endpoint, total in scored])

    def response_headers(self, served: Endpoint) -> tuple[tuple[str, str], ...]:
        """Headers that plugins put on the response when `served` gave it."""
        found = (marker(served) for marker in self.response_markers)
        return tuple(header for header in found if header is not None)
