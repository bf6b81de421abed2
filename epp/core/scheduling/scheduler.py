"""The scheduler: candidates in, decision out. It picks and reserves in one step, with nothing awaited between."""

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

import msgspec

from epp.core.config.settings import PluginSettings
from epp.core.domain.decision import Decision
from epp.core.domain.ports import Clock
from epp.core.domain.request import NO_HEADERS, NO_PROMPT, InferenceRequest
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.plugins import (
    Learner,
    PickObserver,
    ProfileHandler,
    ResponseMarker,
    ResponseStamps,
    SlotMemory,
)
from epp.core.scheduling.profile import Profile
from epp.core.scheduling.request_control import NamedProducer, NoteFault, RequestControl, produce, screened
from epp.core.state.ledger import InFlightLedger
from epp.core.state.snapshot import PoolSnapshot


class MadePlugin(msgspec.Struct, frozen=True):
    """A plugin and the settings that it was made from."""

    settings: PluginSettings
    plugin: Any


NOTHING_MADE: Mapping[str, MadePlugin] = {}


class Policy(msgspec.Struct, frozen=True):
    """Everything that a configuration resolves to."""

    profiles: tuple[Profile, ...]
    handler: ProfileHandler
    producers: tuple[NamedProducer, ...] = ()
    control: RequestControl = RequestControl()
    made: Mapping[str, MadePlugin] = NOTHING_MADE
    """by name, so that the next policy can go on with plugins that are configured as before"""

    @property
    def learners(self) -> tuple[tuple[str, Learner], ...]:
        """The producers that learn from decisions, by name."""
        return tuple((named.name, named.plugin) for named in self.producers if isinstance(named.plugin, Learner))

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
        self._memories = tuple(plugin for plugin in plugins if isinstance(plugin, SlotMemory))
        self._markers = (
            *(plugin.response_header for plugin in plugins if isinstance(plugin, ResponseMarker)),
            *(stamp for plugin in plugins if isinstance(plugin, ResponseStamps) for stamp in plugin.stamps),
        )
        self._reporters = tuple(reporter.report for reporter in policy.control.reporters)
        self._served_markers = tuple(plugin.served_header for plugin in policy.control.response_header_processors)

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
        candidates = screened(cycle, candidates, policy.control.screeners)
        produce(cycle, candidates, policy.producers, self._note_fault)
        for admitter in policy.control.admitters:
            admitter.admit(cycle, candidates)
        primary = self._profiles[policy.handler.profiles(cycle, self._names)[0]]
        left, picked, card = primary.run(cycle, candidates)
        endpoints = tuple(left.endpoint(index) for index in picked)
        reservation = self._ledger.reserve(int(left.slots[picked[0]]), request.prompt.token_count)
        for observer in self._observers:
            observer.picked(cycle, reservation)
        return Decision(
            request=msgspec.structs.replace(request, prompt=NO_PROMPT, headers=NO_HEADERS),
            endpoints=endpoints,
            destinations=",".join([endpoint.destination for endpoint in endpoints]),
            reservation=reservation,
            card=card,
            scheduler_s=self._clock() - now,
            lessons=tuple(
                partial(learner.learn, cycle, reservation) for name, learner in self._learners if name in cycle.products
            ),
            response_markers=self._markers,
            served_markers=self._served_markers,
            reporters=self._reporters,
        )

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner."""
        for memory in self._memories:
            memory.forget_slot(slot)
