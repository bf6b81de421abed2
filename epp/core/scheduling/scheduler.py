"""The scheduler: candidates in, decision out. It picks and reserves in one step, with nothing awaited between."""

from functools import partial
from random import Random

import msgspec

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.ports import Clock, LoadReport, RequestReport
from epp.core.domain.request import NO_PROMPT, InferenceRequest
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.plugins import (
    Learner,
    LoadObserver,
    OutcomeObserver,
    PickObserver,
    Producer,
    ProfileHandler,
    ResponseMarker,
    SlotMemory,
)
from epp.core.scheduling.profile import Profile
from epp.core.state.ledger import InFlightLedger
from epp.core.state.snapshot import PoolSnapshot


class NamedProducer(msgspec.Struct, frozen=True):
    """A producer and the name under which consumers find its product."""

    name: str
    plugin: Producer


class Policy(msgspec.Struct, frozen=True):
    """Everything that a configuration resolves to."""

    profiles: tuple[Profile, ...]
    handler: ProfileHandler
    producers: tuple[NamedProducer, ...] = ()

    @property
    def learners(self) -> tuple[Learner, ...]:
        """The plugins that learn from decisions."""
        return tuple(plugin for plugin in self.plugins if isinstance(plugin, Learner))

    @property
    def plugins(self) -> tuple[object, ...]:
        """Every plugin once."""
        everyone: list[object] = [named.plugin for named in self.producers]
        for profile in self.profiles:
            everyone += [named.plugin for named in profile.filters]
            everyone += [scorer.plugin for scorer in profile.scorers]
            everyone.append(profile.picker)
        everyone.append(self.handler)
        return tuple({id(plugin): plugin for plugin in everyone}.values())


class Scheduler:
    """One per process; `policy` may be swapped between two requests."""

    def __init__(self, policy: Policy, ledger: InFlightLedger, rng: Random, clock: Clock) -> None:
        self._clock = clock
        self._policy = policy
        self._ledger = ledger
        self._rng = rng
        self._profiles = {profile.name: profile for profile in policy.profiles}
        self._names = tuple(self._profiles)
        self._learners = policy.learners
        plugins = policy.plugins
        self._observers = tuple(plugin for plugin in plugins if isinstance(plugin, PickObserver))
        self._memories = tuple(plugin for plugin in plugins if isinstance(plugin, SlotMemory))
        self._outcomes = tuple(plugin for plugin in plugins if isinstance(plugin, OutcomeObserver))
        self._loads = tuple(plugin for plugin in plugins if isinstance(plugin, LoadObserver))
        self._markers = tuple(plugin.response_header for plugin in plugins if isinstance(plugin, ResponseMarker))

    def schedule(
        self, request: InferenceRequest, snapshot: PoolSnapshot, candidates: Candidates, now: float
    ) -> Decision:
        """Picks among `candidates` (not empty) and reserves the place; raises ResourceExhausted; `now` is now."""
        cycle = Cycle(request, snapshot, self._ledger, now, self._rng)
        for named in self._policy.producers:
            cycle.products[named.name] = named.plugin.produce(cycle, candidates)
        primary = self._profiles[self._policy.handler.profiles(cycle, self._names)[0]]
        left, picked, card = primary.run(cycle, candidates)
        endpoints = tuple([left.endpoint(index) for index in picked])
        reservation = self._ledger.reserve(int(left.slots[picked[0]]), request.prompt.token_count)
        for observer in self._observers:
            observer.picked(cycle, reservation)
        return Decision(
            request=msgspec.structs.replace(request, prompt=NO_PROMPT),
            endpoints=endpoints,
            destinations=",".join([endpoint.destination for endpoint in endpoints]),
            reservation=reservation,
            card=card,
            scheduler_s=self._clock() - now,
            lessons=(partial(_learn, self._learners, cycle, reservation),) if self._learners else (),
            response_markers=self._markers,
        )

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner."""
        for memory in self._memories:
            memory.forget_slot(slot)

    def moved(self, reservation: Reservation, slot: int) -> None:
        """The request is served by the owner of `slot`."""
        for observer in self._outcomes:
            observer.moved(reservation, slot, self._clock())

    def first_token(self, reservation: Reservation) -> None:
        """The first token of the request was seen."""
        for observer in self._outcomes:
            observer.first_token(reservation, self._clock())

    def released(self, reservation: Reservation) -> None:
        """The request is over, and its place given back."""
        for observer in self._outcomes:
            observer.released(reservation, self._clock())

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of a released request."""
        for observer in self._outcomes:
            observer.finished(decision, report)

    def load_noted(self, slot: int, report: LoadReport) -> None:
        """A scrape of the slot's owner was stored."""
        for observer in self._loads:
            observer.load_noted(slot, report, self._clock())


def _learn(learners: tuple[Learner, ...], cycle: Cycle, reservation: Reservation) -> None:
    for learner in learners:
        learner.learn(cycle, reservation)
