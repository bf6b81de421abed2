"""A whole picker in this process: static endpoints, one scorer, gRPC on a free port of 127.0.0.1.

async with running_picker(endpoints=3) as picker, ExtProcClient(picker.port) as envoy:
    ...
    await picker.at_rest()
"""

import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import Refusal
from epp.core.domain.model_rewrite import InferenceModelRewrite
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState, RequestReport, TokenSource
from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest
from epp.core.flow.ticket import BreakOff, Ticket
from epp.core.protocol.request_side import ConversationSettings
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.plugins import Scorer
from epp.core.scheduling.profile import Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import NamedProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.executor import StreamExecutor
from epp.edge.extproc.services import RoutingPort, Services
from epp.edge.extproc.transport import PROCESS, Transport
from tests.support.eventually import eventually
from tests.support.lost_errors import no_lost_errors
from tests.support.transports import USUAL, make_transport

PORT = 8000
POOL = InferencePool("default", "pool", {"app": "vllm"}, (PORT,))


class RecordedMetrics:
    """MetricSink that keeps everything."""

    def __init__(self) -> None:
        self.started: list[InferenceRequest] = []
        self.routed: list[Decision] = []
        self.refused: list[tuple[InferenceRequest | None, Refusal]] = []
        self.finished: list[tuple[Decision, RequestReport]] = []
        self.bypassed: list[str] = []

    def request_started(self, request: InferenceRequest) -> None:
        self.started.append(request)

    def request_routed(self, decision: Decision) -> None:
        assert decision.scheduler_s >= 0
        self.routed.append(decision)

    def request_refused(self, request: InferenceRequest | None, refusal: Refusal) -> None:
        self.refused.append((request, refusal))

    def request_finished(self, decision: Decision, report: RequestReport) -> None:
        self.finished.append((decision, report))

    def picker_bypassed(self, destination: str) -> None:
        self.bypassed.append(destination)

    @property
    def reports(self) -> list[RequestReport]:
        """How the routed requests ended, in that order."""
        return [report for _, report in self.finished]


class RecordedFaults:
    """FaultLog that keeps everything."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str, BaseException]] = []

    def fault(self, event: str, request_id: str, error: BaseException) -> None:
        self.faults.append((event, request_id, error))

    @property
    def events(self) -> list[str]:
        """What happened, without request ids and errors."""
        return [event for event, _, _ in self.faults]


class Picker:
    """The parts, to look at and to exchange before `start`: `routing`, `tokens` and `wants_sample`."""

    def __init__(
        self,
        endpoints: int = 3,
        *,
        settings: ConversationSettings | None = None,
        budget_bytes: int = 256 << 20,
        scorer: Scorer | None = None,
        producers: tuple[NamedProducer, ...] = (),
        objectives: tuple[InferenceObjective, ...] = (),
        rewrites: tuple[InferenceModelRewrite, ...] = (),
        clock: Callable[[], float] = time.monotonic,
        transport_kind: str = USUAL,
    ) -> None:
        self.endpoints = tuple(
            Endpoint.create(namespace="default", pod=f"pod-{n}", rank=0, address=f"10.0.0.{n + 1}", port=PORT)
            for n in range(endpoints)
        )
        self.faults = RecordedFaults()
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, clock)
        self.roster.objects_changed(ObjectState(POOL, self.endpoints, objectives, rewrites))
        chosen = MaxScorePicker(PickerParameters())
        profile = Profile("default", (), (WeightedScorer("queue-scorer", scorer or QueueScorer(), 1.0),), chosen)
        policy = Policy((profile,), SingleProfileHandler(), producers)
        scheduler = Scheduler(policy, self.ledger, Random(1), clock, self.faults.fault)
        self.router = Router(self.roster, scheduler, RoutingPolicy(), clock)
        self.routing: RoutingPort = self.router
        self.metrics = RecordedMetrics()
        self.budget = BodyBudget(budget_bytes)
        self.wants_sample: Callable[[], bool] = lambda: False
        self.tokens: TokenSource | None = None
        self._settings = replaced(settings or ConversationSettings(), may_rewrite=self.router.may_rewrite)
        self._clock = clock
        self._transport_kind = transport_kind
        self.transport: Transport

    @property
    def port(self) -> int:
        """Where the ext_proc service listens on 127.0.0.1."""
        return self.transport.port

    @property
    def destinations(self) -> list[str]:
        """`ip:port` of every endpoint."""
        return [endpoint.destination for endpoint in self.endpoints]

    async def start(self) -> None:
        """Serves until `stop`."""
        numbers = itertools.count(1)
        services = Services(
            routing=self.routing,
            metrics=self.metrics,
            faults=self.faults,
            clock=self._clock,
            settings=self._settings,
            budget=self.budget,
            new_request_id=lambda: f"generated-{next(numbers)}",
            wants_sample=self.wants_sample,
            tokens=self.tokens,
        )
        self.transport = make_transport(
            self._transport_kind,
            {PROCESS: lambda stream: StreamExecutor(services, stream)},
            max_message_bytes=self._settings.max_body_bytes,
            on_fault=self.faults.fault,
        )
        await self.transport.start()

    async def stop(self) -> None:
        """Ends what is left at once."""
        await self.transport.drain(0.0)

    async def at_rest(self) -> None:
        """Returns once no stream is open; then nothing may be left of any request."""
        await eventually(lambda: self.transport.open_streams == 0, what="all streams are over")
        assert self.ledger.open_count == 0
        assert not self.ledger.requests.any()
        assert not self.ledger.tokens.any()
        assert self.budget.held_bytes == 0
        assert self.budget.waiting_streams == 0

    def in_flight(self) -> dict[str, int]:
        """Requests in flight by destination, without those that have none."""
        counts = {
            endpoint.destination: int(self.ledger.requests[slot])
            for endpoint, slot in zip(self.endpoints, self.roster.current.slots, strict=True)
        }
        return {destination: count for destination, count in counts.items() if count}


class HoldingRouter:
    """RoutingPort that holds every request until the test says so."""

    def __init__(self, router: Router, wait_s: float) -> None:
        self._router = router
        self._wait_s = wait_s
        self.held: list[tuple[InferenceRequest, Ticket]] = []

    def decide(self, request: InferenceRequest) -> Decision | Ticket:
        ticket = Ticket(self._wait_s)
        self.held.append((request, ticket))
        return ticket

    def grant(self) -> None:
        """Lets the oldest go."""
        request, ticket = self.held.pop(0)
        answer = self._router.decide(request)
        assert isinstance(answer, Decision)
        assert ticket.answer(answer)

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        self._router.dispatched(decision, break_off)

    def response_begun(self, decision: Decision, destination: str) -> None:
        self._router.response_begun(decision, destination)

    def first_token(self, decision: Decision) -> None:
        self._router.first_token(decision)

    def release(self, decision: Decision) -> bool:
        return self._router.release(decision)

    def finished(self, decision: Decision, report: RequestReport) -> None:
        self._router.finished(decision, report)


def holding(wait_s: float = 30.0) -> tuple[Picker, HoldingRouter]:
    """A picker whose requests wait, at most so long."""
    picker = Picker()
    picker.routing = router = HoldingRouter(picker.router, wait_s)
    return picker, router


@asynccontextmanager
async def serving(picker: Picker) -> AsyncIterator[Picker]:
    """Starts a picker and stops it; a fault that the test did not take out of `picker.faults` fails it."""
    await picker.start()
    with no_lost_errors():
        try:
            yield picker
        finally:
            await picker.stop()
    assert picker.faults.faults == []


@asynccontextmanager
async def running_picker(endpoints: int = 3, *, settings: ConversationSettings | None = None) -> AsyncIterator[Picker]:
    """A picker with nothing special about it."""
    async with serving(Picker(endpoints, settings=settings)) as picker:
        yield picker
