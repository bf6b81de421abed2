"""The extension points of a decision. A plugin is any object with the method of its kind."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from epp.core.domain.decision import MetadataNumber, Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.cycle import Candidates, Cycle
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
class Picker(Protocol):
    """Chooses among scored candidates."""

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """Indices into `candidates`, best first; never empty for a non-empty choice."""
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
        """The request of `cycle` went to the slot of `reservation`."""


@runtime_checkable
class PickObserver(Protocol):
    """Is told of every pick in the step that reserved the place, so that the very next request sees its effect.

    It costs the request time: whatever may come later is for a Learner.
    """

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """The request of `cycle` goes to the slot of `reservation`."""
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
class ProfileHandler(Protocol):
    """Says which profiles run for a request."""

    def profiles(self, cycle: Cycle, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the profiles to run, the primary one first."""
        ...
