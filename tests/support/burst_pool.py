"""A whole routing core behind the window of bursts, in virtual time: real ledger, scheduler, producer, and queues.

pool = BurstPool(endpoints=2)
pool.ask("a", "x" * 256), pool.ask("b", "x" * 256)
pool.pass_time(0.1)
assert pool.where["a"] == pool.where["b"]
"""

from collections.abc import Mapping
from random import Random
from typing import Any

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import NO_LABELS
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.flow.concurrency import ConcurrencyDetector
from epp.core.flow.ticket import Answer, Ticket
from epp.core.routing.bursts import BurstRouter
from epp.core.routing.queueing import QueueingRouter
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.plugins import Scorer
from epp.core.scheduling.producers.burst_prefix_cache import BurstPrefixCacheParameters, BurstPrefixCacheProducer
from epp.core.scheduling.profile import Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import NamedProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from tests.support.queueing_pool import NOTHING_SPECIAL, CountedFlow
from tests.support.routed_requests import endpoint, report
from tests.support.small_pool import POOL

BURST = "burst"


class BurstPool:
    """Placements count twice as much as the load; `each` requests fit on an endpoint, None: no flow control."""

    def __init__(
        self, endpoints: int = 2, *, each: int | None = None, scorer: Scorer | None = None, **parameters: Any
    ) -> None:
        """`parameters` are those of the producer; `scorer` takes the place of the one that looks at the load."""
        self.now = 100.0
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, lambda: self.now)
        self.producer = BurstPrefixCacheProducer(BURST, BurstPrefixCacheParameters(**parameters))
        together = PrefixCacheScorer(PrefixCacheParameters(prefix_match_info_producer_name=BURST))
        load = scorer or ActiveRequestScorer(ActiveRequestParameters())
        scorers = (WeightedScorer("together", together, 2.0), WeightedScorer("load", load, 1.0))
        profile = Profile("p", (), scorers, MaxScorePicker(PickerParameters()))
        policy = Policy((profile,), SingleProfileHandler(), (NamedProducer(BURST, self.producer),))
        scheduler = Scheduler(policy, self.ledger, Random(1), lambda: self.now)
        router = Router(self.roster, scheduler, RoutingPolicy(), lambda: self.now)
        self.queues = None if each is None else self._queues(router, each)
        self.faults: list[str] = []
        self.router = BurstRouter(
            self.queues or router,
            router,
            self.ledger,
            clock=lambda: self.now,
            rng=Random(1),
            note_fault=lambda event, _request_id, _error: self.faults.append(event),
        )
        self.router.take_over((self.producer,))
        self.router.wake = self._woken
        self.wakes = 0
        self._is_woken = False
        self.decisions: dict[str, Decision] = {}
        self.refusals: dict[str, Refusal] = {}
        self.tickets: dict[str, Ticket] = {}
        self.members(endpoints)

    def _queues(self, router: Router, each: int) -> QueueingRouter:
        detector = ConcurrencyDetector(ConcurrencyDetectorParameters(max_concurrency=each))
        queues = QueueingRouter(
            router, self.roster, NOTHING_SPECIAL, lambda: self.now, detector=detector, sink=CountedFlow()
        )
        queues.wake = self._woken
        return queues

    @property
    def where(self) -> dict[str, str]:
        """Pods by request, in the order of dispatch."""
        return {name: decision.endpoint.pod for name, decision in self.decisions.items()}

    @property
    def counts(self) -> list[int]:
        """Requests in flight by endpoint."""
        return [int(count) for count in self.ledger.requests[self.roster.current.slots]]

    def members(self, count: int, labels: Mapping[int, Mapping[str, str]] | None = None) -> None:
        """The pool has so many endpoints from now on; `labels` by number."""
        endpoints = tuple(endpoint(number, labels=(labels or {}).get(number, NO_LABELS)) for number in range(count))
        self.roster.objects_changed(ObjectState(POOL, endpoints))
        if self.queues is not None:
            self.queues.changed()
        self.turn()

    def ask(self, name: str, prompt: str = "", **fields: Any) -> None:
        """A request comes; `fields` are those of InferenceRequest."""
        data = Prompt(PromptKind.TEXT, prompt.encode()) if prompt else Prompt()
        try:
            answer = self.router.decide(InferenceRequest(name, prompt=data, **fields))
        except Refusal as refusal:
            self.refusals[name] = refusal
            return
        if isinstance(answer, Ticket):
            self.tickets[name] = answer
            answer.on_answer(lambda answer: self._answered(name, answer))
        else:
            self._answered(name, answer)
        self.turn()

    def end(self, name: str) -> None:
        """A running request is over."""
        decision = self.decisions.pop(name)
        assert self.router.release(decision)
        self.router.finished(decision, report())
        self.turn()

    def leave(self, name: str) -> None:
        """The client of a waiting request goes."""
        self.tickets.pop(name).withdraw()
        self.turn()

    def pass_time(self, seconds: float) -> None:
        """And the timers fire as often as they were set."""
        end = self.now + seconds
        while (due := self._work()) is not None and due <= end:
            self.now = max(self.now, due)
        self.now = end
        self.turn()

    def turn(self) -> None:
        """One turn of the event loop, and those that it leads to."""
        while self._is_woken:
            self._is_woken = False
            due = self._work()
            self._is_woken = self._is_woken or (due is not None and due <= self.now)

    def _work(self) -> float | None:
        deadlines = [self.router.work(), self.queues.work() if self.queues is not None else None]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _woken(self) -> None:
        self.wakes += 1
        self._is_woken = True

    def _answered(self, name: str, answer: Answer) -> None:
        self.tickets.pop(name, None)
        if isinstance(answer, Refusal):
            self.refusals[name] = answer
        else:
            self.decisions[name] = answer
            self.router.dispatched(answer, lambda _refusal: None)
