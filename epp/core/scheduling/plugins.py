"""The extension points of a decision. A plugin is any object with the method of its kind."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from epp.core.domain.decision import Decision, Disaggregation, MetadataNumber, Reservation, Stage
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import ResourceExhausted
from epp.core.domain.ports import LoadReport, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.cycle import Candidates, Cycle, ProfileResult
from epp.core.state.columns import FloatColumn


@runtime_checkable
class RequestHeaderProcessor(Protocol):
    """Completes a request from its headers, before anything is decided."""

    def process(self, request: InferenceRequest) -> InferenceRequest:
        """The request, the same object where there is nothing to add."""
        ...


@runtime_checkable
class Screener(Protocol):
    """Says which endpoints a request may go to at all, whatever its profile; what several leave is intersected."""

    def screen(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """The candidates that stay; nobody left refuses the request."""
        ...


@runtime_checkable
class Admitter(Protocol):
    """May refuse a request that could be scheduled."""

    def admit(self, cycle: Cycle, candidates: Candidates) -> None:
        """Returns, or raises a Refusal."""
        ...


@runtime_checkable
class Filter(Protocol):
    """Leaves some candidates out."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """The candidates that stay; an empty result refuses the request."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Judges the candidates."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """Shape (candidates,), 0 worst to 1 best; values outside are clamped."""
        ...


@runtime_checkable
class PlainScorer(Scorer, Protocol):
    """A Scorer that is quicker in plain numbers where there are few candidates."""

    def score_plainly(self, cycle: Cycle, candidates: Candidates) -> list[float] | None:
        """As `score`, with no score outside of 0..1; None: `score` has to be asked this time."""
        ...


@runtime_checkable
class Picker(Protocol):
    """Chooses among scored candidates."""

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """Indices into `candidates`, best first; never empty for a non-empty choice."""
        ...


@runtime_checkable
class PlainPicker(Picker, Protocol):
    """A Picker that is quicker in plain numbers where there are few candidates."""

    def pick_plainly(self, cycle: Cycle, candidates: Candidates, totals: list[float]) -> list[int]:
        """As `pick`."""
        ...


@runtime_checkable
class Producer(Protocol):
    """Makes data that scorers and filters consume; it is put into `cycle.products` under the producer's name."""

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        """Runs once per decision, before filters and scorers."""
        ...


@runtime_checkable
class Learner(Protocol):
    """Learns from decisions. Runs after the reply was written, so it costs the request nothing."""

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        """The prompt of `cycle` is computed at the slot of `reservation`; with a prefill stage, there as well."""


@runtime_checkable
class AnswerLearner(Learner, Protocol):
    """A Learner that only learns something together with the answer, and is left out where nobody sees that."""

    learns_from_answers: bool


@runtime_checkable
class PickObserver(Protocol):
    """Is told of every pick in the step that reserved the place, so that the very next request sees its effect.

    It costs the request time: whatever may come later is for a Learner.
    """

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """`cycle.profile` picked the slot of `reservation`; the primary profile is told last."""
        ...


@runtime_checkable
class OutcomeObserver(Protocol):
    """Is told what becomes of a request after its pick; `now` is monotonic seconds."""

    def moved(self, reservation: Reservation, slot: int, now: float) -> None:
        """Another endpoint serves the request: the place is in its slot from now on."""
        ...

    def first_token(self, reservation: Reservation, now: float) -> None:
        """The first piece of the answer passed; for requests whose answer is seen only."""
        ...

    def released(self, reservation: Reservation, now: float) -> None:
        """The request is over; called once, whatever happened to it."""
        ...

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of it, at once after `released`; not called where nothing is known."""
        ...


@runtime_checkable
class LoadObserver(Protocol):
    """Is told of every scrape."""

    def load_noted(self, slot: int, report: LoadReport, now: float) -> None:
        """The metrics page of the slot's owner was read; the load columns have it already."""
        ...


@runtime_checkable
class SlotMemory(Protocol):
    """Remembers something by slot."""

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner; what was known of it is void."""
        ...


@runtime_checkable
class ResponseMarker(Protocol):
    """Puts a header on the response."""

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """Name in lower case and value, when `endpoint` served the request; None for no header."""
        ...


@runtime_checkable
class ResponseStamps(Protocol):
    """Puts several headers on the response, each as a ResponseMarker puts one."""

    @property
    def stamps(self) -> tuple[Callable[[Endpoint], tuple[str, str] | None], ...]:
        """One function per header."""
        ...


@runtime_checkable
class ResponseHeaderProcessor(Protocol):
    """Puts a header on the response, from what the gateway says of it."""

    def served_header(self, served: str) -> tuple[str, str]:
        """Name in lower case and value; `served` is the destination that the gateway named, empty if it named none."""
        ...


@runtime_checkable
class Reporter(Protocol):
    """Tells the gateway something of an answer; a configuration with one has every answer's body looked into."""

    def report(self, usage: TokenUsage) -> MetadataNumber | None:
        """What the answer's token usage comes to; None for nothing."""
        ...


@runtime_checkable
class ProfileMarker(ResponseMarker, Protocol):
    """A ResponseMarker that may be about another endpoint than the one that answers."""

    @property
    def profile_name(self) -> str:
        """Its header is made of the pick of this profile; empty: of the endpoint that served."""
        ...


@runtime_checkable
class RequestMarker(Protocol):
    """Puts headers on the request for the model server."""

    def request_headers(self, cycle: Cycle) -> tuple[tuple[str, str], ...]:
        """Names in lower case and values; every pick is in `cycle.results`."""
        ...


class FurtherStage(msgspec.Struct, frozen=True):
    """A stage that runs on the pick of `profile`."""

    stage: Stage
    profile: str


class Conclusion(msgspec.Struct, frozen=True):
    """What comes of the profiles that have run."""

    primary: str
    """the profile whose pick answers the request"""
    stages: tuple[FurtherStage, ...] = ()
    request_headers: tuple[tuple[str, str], ...] = ()
    """headers for the model server, names in lower case"""
    disaggregation: Disaggregation | None = None
    destination: str = ""
    """replaces the address of the picked endpoint, and there are no fallbacks"""


ProfileResults = Mapping[str, ProfileResult | None]
"""by name, in the order in which they ran; None: the filters left nobody"""


@runtime_checkable
class ProfileHandler(Protocol):
    """Says which profiles run for a request, one after the other, and what comes of them."""

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:
        """One of `names` that is not among `results`; None when no more is needed. May raise a Refusal."""
        ...

    def profile_failed(self, cycle: Cycle, name: str, refusal: ResourceExhausted) -> None:
        """The profile left nobody: raises what the client gets, or returns, and the request goes on without it."""
        ...

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:
        """Asked once, after the last profile; the primary one must have a result."""
        ...


@runtime_checkable
class Decider(Protocol):
    """Decides for a profile handler whether a further stage is worth it."""

    def wants_stage(self, cycle: Cycle, decode: ProfileResult) -> bool:
        """`decode` is the pick that would do everything itself otherwise."""
        ...
