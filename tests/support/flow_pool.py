"""A pool with so many places, and flow control before it; time is virtual."""

from epp.core.config.flow_parameters import StaticUsageLimitParameters
from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.request import InferenceRequest
from epp.core.flow.controller import FlowController
from epp.core.flow.events import FlowEvent, Granted
from epp.core.flow.item import FlowItem
from epp.core.flow.settings import FlowSettings
from epp.core.flow.ticket import Ticket
from epp.core.flow.usage_limits.policy import UsageLimitPolicy
from epp.core.flow.usage_limits.static import StaticUsageLimit
from tests.support.playbook import decision_for

EVERYBODY = StaticUsageLimit(StaticUsageLimitParameters())
DECISION = decision_for("10.0.0.1:8000")


def flow_item(
    name: str,
    priority: int = 0,
    tenant: str = "t",
    *,
    received_at: float = 0.0,
    body_bytes: int = 1,
    ttl_ms: int | None = None,
    slo_ms: int | None = None,
) -> FlowItem:
    """The item of a request `name`."""
    headers = {"x-llm-d-request-ttl-ms": ttl_ms, "x-slo-ttft-ms": slo_ms}
    request = InferenceRequest(
        name,
        headers={key: str(value) for key, value in headers.items() if value is not None},
        priority=priority,
        fairness_id=tenant,
        body_bytes=body_bytes,
    )
    return FlowItem.of(request, received_at)


class FlowPool:
    """saturation = running / places. `log` is what happened, as `+name` granted, `-name outcome` given up."""

    def __init__(
        self, places: int = 1, settings: FlowSettings | None = None, usage_limits: UsageLimitPolicy = EVERYBODY
    ) -> None:
        self.now = 0.0
        self.places = places
        self.has_endpoints = True
        self.running: dict[str, FlowItem] = {}
        self.items: dict[str, FlowItem] = {}
        self.tickets: dict[str, Ticket] = {}
        self.faults: dict[str, Exception] = {}
        """by name: what scheduling raises for it"""
        self.log: list[str] = []
        self.flow = FlowController(
            settings or FlowSettings(),
            usage_limits,
            dispatch=self._dispatch,
            saturation=lambda: len(self.running) / self.places,
            has_endpoints=lambda: self.has_endpoints,
        )

    @property
    def granted(self) -> str:
        """Names of all that went, in order."""
        return " ".join(line[1:] for line in self.log if line.startswith("+"))

    def offer(
        self,
        name: str,
        priority: int = 0,
        tenant: str = "t",
        *,
        body_bytes: int = 1,
        ttl_ms: int | None = None,
        slo_ms: int | None = None,
    ) -> Decision | Ticket:
        """A request comes; raises Refusal."""
        item = flow_item(
            name, priority, tenant, received_at=self.now, body_bytes=body_bytes, ttl_ms=ttl_ms, slo_ms=slo_ms
        )
        self.items[name] = item
        answer = self.flow.offer(item, self.now)
        if isinstance(answer, Ticket):
            self.tickets[name] = answer
        return answer

    def queue(self, names: str, priority: int = 0, tenant: str = "t") -> None:
        """Requests that come one after the other and must all wait."""
        for name in names.split():
            assert isinstance(self.offer(name, priority, tenant), Ticket)

    def fill(self) -> None:
        """Takes all places."""
        for number in range(len(self.running), self.places):
            self.running[f"filler-{number}"] = flow_item(f"filler-{number}")

    def finish(self, name: str | None = None) -> list[FlowEvent]:
        """A running request (the eldest by default) is over, and whoever may go goes."""
        del self.running[next(iter(self.running)) if name is None else name]
        return self.advance()

    def finish_all(self) -> None:
        """One after the other until nobody waits or runs."""
        while self.running:
            self.finish()

    def advance(self, seconds: float = 0.0) -> list[FlowEvent]:
        """Time passes, and whoever may go goes."""
        self.now += seconds
        return self.note(self.flow.advance(self.now))

    def note(self, events: list[FlowEvent]) -> list[FlowEvent]:
        """Writes the log and answers the tickets."""
        for event in events:
            name = event.item.request.request_id
            self.log.append(f"+{name}" if isinstance(event, Granted) else f"-{name} {event.outcome.value}")
            event.ticket.answer(event.answer)
        return events

    def _dispatch(self, item: FlowItem) -> Decision:
        name = item.request.request_id
        fault = self.faults.get(name)
        if fault is not None:
            raise fault
        assert name not in self.running, f"{name} was granted twice"
        self.running[name] = item
        return DECISION


def refusal_of(
    pool: FlowPool, name: str, priority: int = 0, *, body_bytes: int = 1, ttl_ms: int | None = None
) -> Refusal:
    """What an offer that is refused is told."""
    try:
        pool.offer(name, priority, body_bytes=body_bytes, ttl_ms=ttl_ms)
    except Refusal as refusal:
        return refusal
    raise AssertionError(f"{name} was not refused")
