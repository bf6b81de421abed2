"""The scheduler: candidates in, decision out. It picks and reserves in one step, with nothing awaited between."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final, ParamSpec, TypeVar

from epp.core.config.settings import PluginSettings
from epp.core.domain.decision import Decision, Reservation, Stage, StagePick
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import ResourceExhausted
from epp.core.domain.ports import Clock, LoadReport, RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.domain.value import Value
from epp.core.scheduling.conditional_decode import check_available
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.plugins import (
    AnswerLearner,
    Conclusion,
    Learner,
    LoadObserver,
    OutcomeObserver,
    PickObserver,
    ProfileHandler,
    ProfileMarker,
    RequestMarker,
    ResponseMarker,
    ResponseStamps,
    SlotMemory,
)
from epp.core.scheduling.profile import Profile
from epp.core.scheduling.request_control import NamedProducer, NoteFault, RequestControl, produce, screened
from epp.core.state.ledger import InFlightLedger
from epp.core.state.snapshot import PoolSnapshot

Marker = Callable[[Endpoint], tuple[str, str] | None]
P = ParamSpec("P")
R = TypeVar("R")


class MadePlugin(Value):
    """A plugin and the settings that it was made from."""

    settings: PluginSettings
    plugin: Any


TaughtLearner = tuple[str, Learner, bool]
"""name if it is a producer, because that learns of what it produced; and whether it learns from answers only"""
NOTHING_MADE: Final[Mapping[str, MadePlugin]] = {}


class Policy(Value):
    """Everything that a configuration resolves to."""

    profiles: tuple[Profile, ...]
    handler: ProfileHandler
    producers: tuple[NamedProducer, ...] = ()
    control: RequestControl = RequestControl()
    made: Mapping[str, MadePlugin] = NOTHING_MADE
    """by name, so that the next policy can go on with plugins that are configured as before"""

    @property
    def learners(self) -> tuple["TaughtLearner", ...]:
        """The plugins that learn from decisions."""
        names = {id(named.plugin): named.name for named in self.producers}
        return tuple(
            (names.get(id(plugin), ""), plugin, isinstance(plugin, AnswerLearner))
            for plugin in self.plugins
            if isinstance(plugin, Learner)
        )

    @property
    def plugins(self) -> tuple[object, ...]:
        """Every plugin once."""
        everyone: list[object] = [*self.control.plugins, *(named.plugin for named in self.producers)]
        for profile in self.profiles:
            everyone += [named.plugin for named in profile.filters]
            everyone += [scorer.plugin for scorer in profile.scorers]
            everyone.append(profile.picker)
        everyone.append(self.handler)
        return tuple({id(plugin): plugin for plugin in everyone}.values())


def _destinations(endpoints: tuple[Endpoint, ...]) -> str:
    """The endpoint to go to and the fallbacks, as header and metadata have them."""
    if len(endpoints) == 1:
        return endpoints[0].destination
    return ",".join([endpoint.destination for endpoint in endpoints])


def _about(endpoint: Endpoint, marker: Marker) -> Marker:
    return lambda _served: marker(endpoint)


class Scheduler:
    """One per process; `policy` may be swapped between two requests."""

    def __init__(
        self,
        policy: Policy,
        ledger: InFlightLedger,
        rng: Random,
        clock: Clock,
        note_fault: NoteFault = lambda _event, _request_id, _error: None,
    ) -> None:
        self._clock = clock
        self._note_fault = note_fault
        self._ledger = ledger
        self._rng = rng
        self.swap(policy)

    def swap(self, policy: Policy) -> None:
        """From the next request on `policy` decides."""
        self._policy = policy
        self._profiles = {profile.name: profile for profile in policy.profiles}
        self._names = tuple(self._profiles)
        self._learners = policy.learners
        plugins = policy.plugins
        self._observers = tuple(plugin for plugin in plugins if isinstance(plugin, PickObserver))
        outcomes = [plugin for plugin in plugins if isinstance(plugin, OutcomeObserver)]
        self._on_moved = tuple((plugin, plugin.moved) for plugin in outcomes)
        self._on_first_token = tuple((plugin, plugin.first_token) for plugin in outcomes)
        self._on_released = tuple((plugin, plugin.released) for plugin in outcomes)
        self._on_finished = tuple((plugin, plugin.finished) for plugin in outcomes)
        self._on_load = tuple((plugin, plugin.load_noted) for plugin in plugins if isinstance(plugin, LoadObserver))
        self._on_renewal = tuple((plugin, plugin.forget_slot) for plugin in plugins if isinstance(plugin, SlotMemory))
        self._request_markers = tuple(plugin for plugin in plugins if isinstance(plugin, RequestMarker))
        self._mark_answers(policy)

    def _mark_answers(self, policy: Policy) -> None:
        plugins, guarded = policy.plugins, self._guarded
        markers = [plugin for plugin in plugins if isinstance(plugin, ResponseMarker)]
        stamping = [plugin for plugin in plugins if isinstance(plugin, ResponseStamps)]
        bound = [marker for marker in markers if isinstance(marker, ProfileMarker) and marker.profile_name]
        self._markers: tuple[Marker, ...] = (
            *(guarded(marker, marker.response_header) for marker in markers if marker not in bound),
            *(guarded(plugin, stamp) for plugin in stamping for stamp in plugin.stamps),
        )
        self._bound_markers = tuple((marker.profile_name, guarded(marker, marker.response_header)) for marker in bound)
        self._reporters = tuple(guarded(reporter, reporter.report) for reporter in policy.control.reporters)
        processors = policy.control.response_header_processors
        self._served_markers = tuple(guarded(plugin, plugin.served_header) for plugin in processors)

    def _guarded(self, plugin: object, call: Callable[P, R]) -> Callable[P, R | None]:
        """`call`, a plugin's part in an answer: if it fails, the answer goes on without that part."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            try:
                return call(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  the model server has done its work by now
                self._note_fault(f"{type(plugin).__name__} failed at an answer", "", error)
                return None

        return guarded

    @property
    def policy(self) -> Policy:
        """The one that decides."""
        return self._policy

    def completed(self, request: InferenceRequest) -> InferenceRequest:
        """The request with what plugins take from its headers; called before anything is decided."""
        for processor in self._policy.control.request_header_processors:
            request = processor.process(request)
        return request

    def schedule(
        self, request: InferenceRequest, snapshot: PoolSnapshot, candidates: Candidates, now: float
    ) -> Decision:
        """Picks among `candidates` (not empty) and reserves the place; raises a Refusal; `now` is now."""
        cycle = Cycle(request, snapshot, self._ledger, now, self._rng)
        policy = self._policy
        control = policy.control
        if control.screeners:
            candidates = screened(cycle, candidates, control.screeners)
        produce(cycle, candidates, policy.producers, self._note_fault)
        for admitter in control.admitters:
            admitter.admit(cycle, candidates)
        conclusion = self._run_profiles(cycle, candidates)
        primary = cycle.results[conclusion.primary]
        if primary is None:
            raise RuntimeError(f"the profile {conclusion.primary!r} is to answer and has no result")
        check_available(cycle, primary)
        endpoints = (primary.endpoint,) if conclusion.destination or len(primary.picked) == 1 else primary.endpoints
        reservation = self._ledger.reserve(primary.slot, cycle.tokens)
        further: list[StagePick] = []
        try:
            if conclusion.stages:
                self._reserve_stages(cycle, conclusion, further)
            self._tell_picks(cycle, conclusion, reservation, further)
            headers = conclusion.request_headers
            for marker in self._request_markers:
                headers += marker.request_headers(cycle)
        except BaseException:  # a plugin's fault must not leave places taken
            for taken in (reservation, *(pick.reservation for pick in further)):
                self._ledger.release(taken)
                self.released(taken)
            raise
        learning = [reservation]
        if further:
            learning += [pick.reservation for pick in further if pick.stage is Stage.PREFILL]
        return Decision(
            request=request.without_prompt(),
            endpoints=endpoints,
            destinations=conclusion.destination or _destinations(endpoints),
            reservation=reservation,
            card=primary.card,
            scheduler_s=self._clock() - now,
            lessons=[partial(self._learn, self._learners, cycle, learning)] if self._learners else [],
            response_markers=self._response_markers(conclusion, further) if self._bound_markers else self._markers,
            served_markers=self._served_markers,
            reporters=self._reporters,
            further=tuple(further),
            request_headers=headers,
            disaggregation=conclusion.disaggregation,
        )

    def _run_profiles(self, cycle: Cycle, candidates: Candidates) -> Conclusion:
        handler, names, results = self._policy.handler, self._names, cycle.results
        while (name := handler.next_profile(cycle, names, results)) is not None:
            cycle.profile = name
            try:
                results[name] = self._profiles[name].run(cycle, candidates)
            except ResourceExhausted as refusal:
                handler.profile_failed(cycle, name, refusal)
                results[name] = None
        return handler.conclude(cycle, results)

    def _reserve_stages(self, cycle: Cycle, conclusion: Conclusion, picks: list[StagePick]) -> None:
        """Books the first endpoint of every further stage into `picks`; only prefill computes the prompt."""
        for further in conclusion.stages:
            result = cycle.results[further.profile]
            if result is not None:
                tokens = cycle.tokens if further.stage is Stage.PREFILL else 0
                endpoints = result.endpoints  # of a faulty picker, this raises an error: before anything is reserved
                reservation = self._ledger.reserve(result.slot, tokens, is_further=True)
                picks.append(StagePick(further.stage, endpoints, reservation, result.card))

    def _tell_picks(
        self, cycle: Cycle, conclusion: Conclusion, reservation: Reservation, further: Sequence[StagePick]
    ) -> None:
        cycle.primary = conclusion.primary
        for pick in further:
            cycle.profile = pick.card.profile
            for observer in self._observers:
                observer.picked(cycle, pick.reservation)
        cycle.profile = conclusion.primary
        for observer in self._observers:
            observer.picked(cycle, reservation)

    def _response_markers(self, conclusion: Conclusion, further: Sequence[StagePick]) -> tuple[Marker, ...]:
        """With those whose profile ran; a marker of a further stage is asked for that stage's endpoint."""
        picks = {pick.card.profile: pick.endpoints[0] for pick in further}
        markers: list[Marker] = list(self._markers)
        for profile, marker in self._bound_markers:
            endpoint = picks.get(profile)
            if endpoint is not None:
                markers.append(_about(endpoint, marker))
            elif profile == conclusion.primary:
                markers.append(marker)
        return tuple(markers)

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner."""
        self._tell(self._on_renewal, slot)

    def moved(self, reservation: Reservation, slot: int) -> None:
        """The request is served by the owner of `slot`."""
        self._tell(self._on_moved, reservation, slot, self._clock())

    def first_token(self, reservation: Reservation) -> None:
        """The first token of the request was seen."""
        self._tell(self._on_first_token, reservation, self._clock())

    def released(self, reservation: Reservation) -> None:
        """The request is over, and its place given back."""
        self._tell(self._on_released, reservation, self._clock())

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of a released request."""
        self._tell(self._on_finished, decision, report)

    def load_noted(self, slot: int, report: LoadReport) -> None:
        """A scrape of the slot's owner was stored."""
        self._tell(self._on_load, slot, report, self._clock())

    def _tell(self, observers: tuple[tuple[object, Callable[P, None]], ...], *args: P.args, **kwargs: P.kwargs) -> None:
        """Whoever fails to note something does not keep the others from it, nor the request from its end."""
        for observer, tell in observers:
            try:
                tell(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  see above
                self._note_fault(f"{type(observer).__name__} failed", "", error)

    def _learn(
        self,
        learners: tuple[TaughtLearner, ...],
        cycle: Cycle,
        reservations: list[Reservation],
        *,
        sees_answer: bool = True,
    ) -> None:
        for name, learner, needs_answer in learners:
            if needs_answer and not sees_answer:
                continue
            if name and name not in cycle.products:  # a producer that failed has nothing to learn from
                continue
            try:
                for reservation in reservations:
                    learner.learn(cycle, reservation)
            except Exception as error:  # noqa: BLE001  what it would have learned is lost, and nothing else
                self._note_fault(f"{type(learner).__name__} failed to learn", cycle.request.request_id, error)
