"""The router: request in, decision out. Objectives, admission, candidates, scheduling, in the reference's order."""

import msgspec
import numpy as np

from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason, ServiceUnavailable
from epp.core.domain.ports import Clock, RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.flow.saturation import SaturationLimits, admit
from epp.core.flow.ticket import Ticket
from epp.core.routing.priority import PriorityPolicy, resolve_priority
from epp.core.routing.subset import within_subset
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.roster import Roster
from epp.core.state.snapshot import PoolSnapshot

NO_CANDIDATES = "failed to find endpoint candidates for serving the request"


class RoutingPolicy(msgspec.Struct, frozen=True):
    """What `epp serve` was told about routing."""

    priority: PriorityPolicy = PriorityPolicy()
    saturation: SaturationLimits = SaturationLimits()
    honour_subset: bool = True


class Router:
    """Decides for one pool; nothing here waits."""

    def __init__(self, roster: Roster, scheduler: Scheduler, policy: RoutingPolicy, clock: Clock) -> None:
        self._roster = roster
        self._scheduler = scheduler
        self._policy = policy
        self._clock = clock

    def decide(self, request: InferenceRequest) -> Decision | Ticket:
        """The endpoint, with its place reserved; raises a Refusal."""
        now = self._clock()
        snapshot = self._roster.current
        priority = resolve_priority(request, snapshot.objectives, self._policy.priority)
        if priority != request.priority:
            request = msgspec.structs.replace(request, priority=priority)
        candidates = self._candidates(request, snapshot)
        admit(request, candidates, self._roster.ledger, self._policy.saturation, now)
        return self._scheduler.schedule(request, snapshot, self._without_cooling(candidates, now), now)

    def response_begun(self, decision: Decision, destination: str) -> None:
        """The response headers are here; Envoy says that `destination` served, empty if it does not say.

        If that is not the picked endpoint, the reservation moves there, unless it is not of the pool, and the picked
        one is held to be unreachable.
        """
        if not destination:
            return
        if destination == decision.endpoint.destination:
            self._roster.cooldowns.succeeded(decision.endpoint.key, self._clock())
            return
        snapshot = self._roster.current
        if self._roster.slot_of(decision.endpoint) is not None:  # else it is another pod that has the name by now
            self._roster.cooldowns.failed(decision.endpoint.key, self._clock())
        position = snapshot.by_destination.get(destination)
        if position is not None:
            slot = int(snapshot.slots[position])
            self._roster.ledger.move(decision.reservation, slot)
            self._scheduler.moved(decision.reservation, slot)

    def first_token(self, decision: Decision) -> None:
        """The first token of the answer was seen."""
        self._scheduler.first_token(decision.reservation)

    def release(self, decision: Decision) -> bool:
        """The request is over; False when it was released before."""
        if not self._roster.ledger.release(decision.reservation):
            return False
        self._scheduler.released(decision.reservation)
        return True

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of a released request; called once, at once after `release`."""
        self._scheduler.finished(decision, report)

    def _candidates(self, request: InferenceRequest, snapshot: PoolSnapshot) -> Candidates:
        if not snapshot.endpoints:
            raise ServiceUnavailable(
                NO_CANDIDATES,
                hint="the pool has no ready endpoint" if snapshot.pool else "the InferencePool is not known yet",
                reason=DroppedReason.NO_ENDPOINTS,
                retry_after_s=1,
            )
        if request.subset is None or not self._policy.honour_subset:
            return Candidates(snapshot)
        candidates = within_subset(snapshot, request.subset)
        if not len(candidates):
            named = ", ".join(request.subset[:5]) or "nobody"
            raise ServiceUnavailable(
                NO_CANDIDATES,
                hint=f"the subset hint names {named}, and no ready endpoint of the pool is among them",
                reason=DroppedReason.NO_ENDPOINTS,
                retry_after_s=1,
            )
        return candidates

    def _without_cooling(self, candidates: Candidates, now: float) -> Candidates:
        """Leaves out endpoints that could not be reached lately, unless that would leave nobody."""
        cooling = self._roster.cooldowns.cooling(now)
        if not cooling:
            return candidates
        warm = np.array([endpoint.key not in cooling for endpoint in candidates.endpoints])
        return candidates.keep(warm) if warm.any() else candidates
