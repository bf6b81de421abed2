"""A decision: where one request goes, and the numbers that led there."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.record import Record
from epp.core.domain.request import InferenceRequest
from epp.core.domain.value import Leaf, Value

if TYPE_CHECKING:
    from epp.core.domain.ports import TokenUsage


class Reservation(Record):
    """A place taken in the in-flight ledger by a pick; `generation` guards against a slot that was used again."""

    def __init__(self, slot: int, generation: int, serial: int, tokens: int, is_further: bool = False) -> None:
        self.slot: Final = slot
        self.generation: Final = generation
        self.serial: Final = serial
        """unique per ledger; releasing the same serial twice changes nothing"""
        self.tokens: Final = tokens
        """prompt tokens that were added for this request"""
        self.is_further: Final = is_further
        """for a stage beside the endpoint that answers: a request may have several"""


Scores = NDArray[np.float64] | list[float]
"""one for each candidate; a plain list where there are few of them"""


class ScorerColumn(Leaf):
    """One scorer's opinion of all candidates, in their order."""

    plugin: str
    weight: float
    scores: Scores
    """each in 0..1, before the weight"""


class ScoreCard(Record):
    """Why an endpoint was picked: the candidates and what every scorer said of them."""

    def __init__(
        self,
        profile: str,
        candidates: tuple[Endpoint, ...],
        columns: tuple[ScorerColumn, ...],
        totals: Scores,
    ) -> None:
        self.profile: Final = profile
        self.candidates: Final = candidates
        self.columns: Final = columns
        self.totals: Final = totals
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


class StagePick(Leaf):
    """Where a further stage of the request runs."""

    stage: Stage
    endpoints: tuple[Endpoint, ...]
    """the one that is booked first; never empty"""
    reservation: Reservation
    card: ScoreCard


class Disaggregation(Value):
    """What was decided about the stages of a request."""

    stages: str
    """those that run, as the reference writes them: `decode-only`, `prefill-decode`, `encode-prefill-decode`"""
    failed_stage: str = ""
    """one that was wanted and found nobody"""


class MetadataNumber(Value):
    """A number for the gateway's dynamic metadata."""

    namespace: str
    key: str
    number: int


class Decision(Record):
    """The answer to one request."""

    def __init__(
        self,
        request: InferenceRequest,
        endpoints: tuple[Endpoint, ...],
        destinations: str,
        reservation: Reservation,
        card: ScoreCard,
        *,
        scheduler_s: float = 0.0,
        lessons: list[Callable[..., None]] | None = None,
        response_markers: tuple[Callable[[Endpoint], tuple[str, str] | None], ...] = (),
        further: tuple[StagePick, ...] = (),
        request_headers: tuple[tuple[str, str], ...] = (),
        disaggregation: Disaggregation | None = None,
        reporters: "tuple[Callable[[TokenUsage], MetadataNumber | None], ...]" = (),
        served_markers: tuple[Callable[[str], tuple[str, str] | None], ...] = (),
    ) -> None:
        self.request: Final = request
        """as routing resolved it: priority and target model are final; without prompt and headers, so that nothing
        large is kept alive as long as the decision"""
        self.endpoints: Final = endpoints
        """the picked endpoint first, then the fallbacks in order; never empty"""
        self.destinations: Final = destinations
        """comma-separated value for header and metadata"""
        self.reservation: Final = reservation
        self.card: Final = card
        self.scheduler_s: Final = scheduler_s
        """what the decision cost, without the time that the request waited"""
        self.lessons: Final[list[Callable[..., None]]] = [] if lessons is None else lessons
        """what plugins learn from this decision; run once after the reply was written, with `sees_answer=False` where
        the answer will not be shown to the picker, and then cleared, because they hold the prompt"""
        self.response_markers: Final = response_markers
        """each says which header the response gets, from the endpoint that served it"""
        self.further: Final = further
        """stages that run elsewhere, each with a place of its own in the ledger"""
        self.request_headers: Final = request_headers
        """headers for the model server, names in lower case"""
        self.disaggregation: Final = disaggregation
        """None where the policy does not split requests"""
        self.reporters: Final = reporters
        """what plugins tell the gateway of the answer's token usage"""
        self.served_markers: Final = served_markers
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
