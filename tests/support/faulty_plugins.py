"""Policies with one faulty plugin, one for each point where plugins are called: it fails for the model `cursed`.

name, policy = ..., FAULTY[name]
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from epp.core.domain.decision import Decision, MetadataNumber, Reservation, Stage
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import ResourceExhausted
from epp.core.domain.ports import LoadReport, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.cycle import Candidates, Cycle, ProfileResult
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.plugins import Conclusion, FurtherStage, Picker, ProfileHandler, ProfileResults
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import NamedProducer, NamedScreener, RequestControl
from epp.core.scheduling.scheduler import Policy
from epp.core.state.columns import FloatColumn

CURSED = "cursed"


class PluginFault(Exception):
    """What the faulty plugins raise."""


def fail_if_cursed(request: InferenceRequest) -> None:
    if request.model == CURSED:
        raise PluginFault("of the plugin")


class FaultyProcessor:
    def process(self, request: InferenceRequest) -> InferenceRequest:
        fail_if_cursed(request)
        return request


class FaultyScreener:
    def screen(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        fail_if_cursed(cycle.request)
        return candidates


class FaultyProducer:
    """Fails to produce, if asked to; else to learn."""

    def __init__(self, *, learns: bool = False) -> None:
        self.learned: list[str] = []
        self._learns = learns

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        if not self._learns:
            fail_if_cursed(cycle.request)
        return "product"

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        fail_if_cursed(cycle.request)
        self.learned.append(cycle.request.model)


class FaultyAdmitter:
    def admit(self, cycle: Cycle, candidates: Candidates) -> None:
        fail_if_cursed(cycle.request)


class FaultyFilter:
    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        fail_if_cursed(cycle.request)
        return candidates


class FaultyScorer:
    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        fail_if_cursed(cycle.request)
        return np.ones(len(candidates))


class WrongShapeScorer:
    """Says something of one candidate too many."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        return np.ones(len(candidates) + (cycle.request.model == CURSED))


class FaultyPicker:
    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        fail_if_cursed(cycle.request)
        return [0]


class NobodyPicker:
    """Picks nobody, or somebody who is not there."""

    def __init__(self, *picks: int) -> None:
        self._picks = list(picks)

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        return self._picks if cycle.request.model == CURSED else [0]


class FaultyObserver:
    """A filter that is told of picks."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        fail_if_cursed(cycle.request)


class FaultyRequestMarker:
    """A filter that puts headers on requests."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def request_headers(self, cycle: Cycle) -> tuple[tuple[str, str], ...]:
        fail_if_cursed(cycle.request)
        return ()


class FaultyDecider:
    def wants_stage(self, cycle: Cycle, decode: ProfileResult) -> bool:
        fail_if_cursed(cycle.request)
        return True


class TwoStages:
    """Runs both profiles, the second one if a decider says so; the first answers."""

    def __init__(self, wants: Callable[[Cycle, ProfileResult], bool] = lambda _cycle, _decode: True) -> None:
        self._wants = wants

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:
        first = results.get(names[0])
        if first is not None and len(results) == 1:
            return names[1] if self._wants(cycle, first) else None
        return None if results else names[0]

    def profile_failed(self, cycle: Cycle, name: str, refusal: ResourceExhausted) -> None:
        raise refusal

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:
        primary, *further = results
        return Conclusion(primary, tuple(FurtherStage(Stage.PREFILL, name) for name in further))


class FaultyHandler(SingleProfileHandler):
    """Fails in one of its methods."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self._method = method

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:
        if self._method == "next_profile":
            fail_if_cursed(cycle.request)
        return super().next_profile(cycle, names, results)

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:
        if self._method == "conclude":
            fail_if_cursed(cycle.request)
        return super().conclude(cycle, results)


class LostStageHandler(SingleProfileHandler):
    """Concludes with a stage that never ran."""

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:
        done = super().conclude(cycle, results)
        if cycle.request.model != CURSED:
            return done
        return Conclusion(done.primary, (FurtherStage(Stage.PREFILL, "never"),))


class FaultyMarker:
    """A filter that puts a header on answers."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        raise PluginFault("of the marker")


class FaultyProfileMarker(FaultyMarker):
    """The same, about the pick of a profile."""

    profile_name = "default"


class FaultyStamps:
    """A filter that puts several headers on answers, of which one fails."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    @property
    def stamps(self) -> tuple[Callable[[Endpoint], tuple[str, str] | None], ...]:
        return (FaultyMarker().response_header, lambda endpoint: ("x-pod", endpoint.pod))


class FaultyServedHeader:
    def served_header(self, served: str) -> tuple[str, str]:
        raise PluginFault("of the processor")


class FaultyReporter:
    def report(self, usage: TokenUsage) -> MetadataNumber | None:
        raise PluginFault("of the reporter")


class FaultyMemory:
    """A filter that does not forget."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def forget_slot(self, slot: int) -> None:
        raise PluginFault("of the memory")


class FaultyOutcomes:
    """A filter that notes nothing of what becomes of requests."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def moved(self, reservation: Reservation, slot: int, now: float) -> None:
        raise PluginFault("moved")

    def first_token(self, reservation: Reservation, now: float) -> None:
        raise PluginFault("first token")

    def released(self, reservation: Reservation, now: float) -> None:
        raise PluginFault("released")

    def finished(self, decision: Decision, report: RequestReport) -> None:
        raise PluginFault("finished")


class FaultyLoads:
    """A filter that notes no scrape."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def load_noted(self, slot: int, report: LoadReport, now: float) -> None:
        raise PluginFault("load")


def policy(
    *,
    scorer: Any = None,
    only: Any = None,
    picker: Picker | None = None,
    handler: ProfileHandler | None = None,
    producer: Any = None,
    **control: Any,
) -> Policy:
    """One profile with these plugins; `only` is its filter, `control` are fields of RequestControl."""
    filters = (NamedFilter("filter", only),) if only else ()
    scorers = (WeightedScorer("scorer", scorer, 1.0),) if scorer else ()
    profile = Profile("default", filters, scorers, picker or MaxScorePicker(PickerParameters()))
    producers = (NamedProducer("producer", producer),) if producer else ()
    return Policy((profile,), handler or SingleProfileHandler(), producers, RequestControl(**control))


def staged_policy(handler: ProfileHandler, further: Picker | None = None) -> Policy:
    """Two profiles; `further` picks for the second."""
    picker = MaxScorePicker(PickerParameters())
    return Policy((Profile("default", (), (), picker), Profile("prefill", (), (), further or picker)), handler)


FAULTY_DECISIONS: dict[str, Callable[[], Policy]] = {
    "header processor": lambda: policy(request_header_processors=(FaultyProcessor(),)),
    "screener": lambda: policy(screeners=(NamedScreener("screener", FaultyScreener()),)),
    "admitter": lambda: policy(admitters=(FaultyAdmitter(),)),
    "filter": lambda: policy(only=FaultyFilter()),
    "scorer": lambda: policy(scorer=FaultyScorer()),
    "scorer of another shape": lambda: policy(scorer=WrongShapeScorer()),
    "picker": lambda: policy(picker=FaultyPicker()),
    "picker of nobody": lambda: policy(picker=NobodyPicker()),
    "picker of a stranger": lambda: policy(picker=NobodyPicker(99)),
    "handler before": lambda: policy(handler=FaultyHandler("next_profile")),
    "handler after": lambda: policy(handler=FaultyHandler("conclude")),
    "handler of a stage that never ran": lambda: policy(handler=LostStageHandler()),
    "decider": lambda: staged_policy(TwoStages(FaultyDecider().wants_stage)),
    "picker of nobody for a further stage": lambda: staged_policy(TwoStages(), NobodyPicker()),
    "picker of a stranger for a further stage": lambda: staged_policy(TwoStages(), NobodyPicker(99)),
    "picker of a strange fallback": lambda: policy(picker=NobodyPicker(0, 99)),
    "picker of a strange fallback for a further stage": lambda: staged_policy(TwoStages(), NobodyPicker(0, 99)),
    "observer": lambda: policy(only=FaultyObserver()),
    "request marker": lambda: policy(only=FaultyRequestMarker()),
}
"""where a fault is the end of its request"""

FAULTY_ANSWERS: dict[str, Callable[[], Policy]] = {
    "response marker": lambda: policy(only=FaultyMarker()),
    "profile marker": lambda: policy(only=FaultyProfileMarker()),
    "stamps": lambda: policy(only=FaultyStamps()),
    "response header processor": lambda: policy(response_header_processors=(FaultyServedHeader(),)),
    "reporter": lambda: policy(reporters=(FaultyReporter(),)),
}
"""where it costs the answer one header or number"""
