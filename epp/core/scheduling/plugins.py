"""The extension points of a scheduling profile. A plugin is any object with the method of its kind."""

from typing import Protocol, runtime_checkable

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport, RequestReport
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn


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
class ProfileHandler(Protocol):
    """Says which profiles run for a request."""

    def profiles(self, cycle: Cycle, names: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the profiles to run, the primary one first."""
        ...
