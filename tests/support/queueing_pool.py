"""A whole routing core behind flow control, in virtual time: real ledger, real scheduler, real queues.

pool = QueueingPool(endpoints=2, each=1)
pool.ask("a"), pool.ask("b"), pool.ask("c")
pool.end("a")
assert pool.running == ["b", "c"]
"""

from random import Random

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters, StaticUsageLimitParameters
from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import ObjectState, TokenUsage
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.flow.build import FlowPolicy
from epp.core.flow.concurrency import ConcurrencyDetector
from epp.core.flow.events import FlowOutcome
from epp.core.flow.settings import FlowSettings
from epp.core.flow.ticket import Answer, QueueTicket
from epp.core.flow.usage_limits.static import StaticUsageLimit
from epp.core.routing.queueing import QueueingRouter
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.plugins import Scorer
from epp.core.scheduling.profile import Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from tests.support.routed_requests import endpoint, report
from tests.support.small_pool import POOL

EVERYBODY = StaticUsageLimit(StaticUsageLimitParameters())
NOTHING_SPECIAL = FlowPolicy(FlowSettings(), EVERYBODY, (), None)


class CountedFlow:
    """FlowSink that keeps everything."""

    def __init__(self) -> None:
        self.left: list[tuple[str, FlowOutcome, float]] = []
        self.evicted: list[str] = []

    def left_queue(self, request: InferenceRequest, outcome: FlowOutcome, waited_s: float) -> None:
        self.left.append((request.request_id, outcome, waited_s))

    def broken_off(self, request: InferenceRequest) -> None:
        self.evicted.append(request.request_id)


class QueueingPool:
    """`each` requests fit on an endpoint."""

    def __init__(
        self, endpoints: int = 1, each: int = 1, policy: FlowPolicy = NOTHING_SPECIAL, scorer: Scorer | None = None
    ) -> None:
        self.now = 100.0
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, lambda: self.now)
        self.sink = CountedFlow()
        scorer = scorer or ActiveRequestScorer(ActiveRequestParameters())
        profile = Profile("p", (), (WeightedScorer("s", scorer, 1.0),), MaxScorePicker(PickerParameters()))
        scheduler = Scheduler(Policy((profile,), SingleProfileHandler()), self.ledger, Random(1), lambda: self.now)
        self.router = QueueingRouter(
            Router(self.roster, scheduler, RoutingPolicy(), lambda: self.now),
            self.roster,
            policy,
            lambda: self.now,
            detector=ConcurrencyDetector(ConcurrencyDetectorParameters(max_concurrency=each)),
            sink=self.sink,
        )
        self.is_woken = False
        self.router.wake = self._woken
        self.decisions: dict[str, Decision] = {}
        self.refusals: dict[str, Refusal] = {}
        self.tickets: dict[str, QueueTicket] = {}
        self.broken_off: dict[str, Refusal] = {}
        self.objectives: tuple[InferenceObjective, ...] = ()
        self.members(endpoints)

    @property
    def running(self) -> list[str]:
        """Who has an endpoint, in the order of dispatch."""
        return list(self.decisions)

    def members(self, count: int) -> None:
        """The pool has so many endpoints from now on."""
        self.roster.objects_changed(ObjectState(POOL, tuple(endpoint(n) for n in range(count)), self.objectives))
        self.router.changed()
        self.turn()

    def ask(
        self, name: str, priority: int = 0, tenant: str = "t", *, tokens: int = 1, headers: dict[str, str] | None = None
    ) -> None:
        """A request comes."""
        request = InferenceRequest(
            name,
            headers=headers or {},
            prompt=Prompt(PromptKind.TEXT, b"x" * 4 * tokens),
            claimed_priority=priority,
            fairness_id=tenant,
            body_bytes=1,
        )
        try:
            answer = self.router.decide(request)
        except Refusal as refusal:
            self.refusals[name] = refusal
            return
        if isinstance(answer, QueueTicket):
            self.tickets[name] = answer
            answer.on_answer(lambda answer: self._answered(name, answer))
        else:
            self._answered(name, answer)
        self.turn()

    def end(self, name: str, status: int = 200, usage: TokenUsage | None = None) -> None:
        """A running request is over."""
        decision = self.decisions.pop(name)
        assert self.router.release(decision)
        self.router.finished(decision, report(status=status, usage=usage))
        self.turn()

    def leave(self, name: str) -> None:
        """The client of a waiting request goes."""
        self.tickets.pop(name).withdraw()
        self.turn()

    def pass_time(self, seconds: float) -> None:
        """And the timer fires as often as it was set."""
        end = self.now + seconds
        while (due := self.router.work()) is not None and due <= end:
            self.now = max(self.now, due)
        self.now = end
        self.router.work()
        self.is_woken = False

    def turn(self) -> None:
        """One turn of the event loop, and those that it leads to."""
        while self.is_woken:
            self.is_woken = False
            due = self.router.work()
            self.is_woken = self.is_woken or (due is not None and due <= self.now)

    def _woken(self) -> None:
        self.is_woken = True

    def _answered(self, name: str, answer: Answer) -> None:
        self.tickets.pop(name, None)
        if isinstance(answer, Refusal):
            self.refusals[name] = answer
            return
        self.decisions[name] = answer
        self.router.dispatched(answer, lambda refusal: self.broken_off.__setitem__(name, refusal))
