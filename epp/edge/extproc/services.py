"""What all streams of a picker share, and what an executor needs of routing."""

from collections.abc import Callable
from typing import Final, Protocol

from epp.core.domain.decision import Decision
from epp.core.domain.ports import Clock, MetricSink, RequestReport, TokenSource
from epp.core.domain.record import Record
from epp.core.domain.request import InferenceRequest
from epp.core.flow.ticket import BreakOff, Ticket
from epp.core.protocol.request_side import ConversationSettings
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.lessons import Lessons


class RoutingPort(Protocol):
    """What the executor needs of `epp.core.routing.router.Router`."""

    def decide(self, request: InferenceRequest) -> Decision | Ticket: ...
    def dispatched(self, decision: Decision, break_off: BreakOff) -> None: ...
    def response_begun(self, decision: Decision, destination: str) -> None: ...
    def first_token(self, decision: Decision) -> None: ...
    def release(self, decision: Decision) -> bool: ...
    def finished(self, decision: Decision, report: RequestReport) -> None: ...


class FaultLog(Protocol):
    """Where faults of our own and of the proxy are reported; never called for an ordinary request."""

    def fault(self, event: str, request_id: str, error: BaseException) -> None: ...


class Services(Record):
    """What all streams share."""

    def __init__(
        self,
        *,
        routing: RoutingPort,
        metrics: MetricSink,
        faults: FaultLog,
        clock: Clock,
        settings: ConversationSettings,
        budget: BodyBudget,
        new_request_id: Callable[[], str],
        wants_sample: Callable[[], bool],
        tokens: TokenSource | None = None,
        lessons: Lessons | None = None,
    ) -> None:
        self.routing: Final = routing
        self.metrics: Final = metrics
        self.faults: Final = faults
        self.clock: Final = clock
        self.settings: Final = settings
        self.budget: Final = budget
        self.new_request_id: Final = new_request_id
        self.wants_sample: Final = wants_sample
        """whether the next request's response body is to be looked at"""
        self.tokens: Final = tokens
        """who tells token ids before a request is routed; None where no plugin has a use for them"""
        self.lessons: Final = lessons or Lessons()
