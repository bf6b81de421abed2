"""The router: request in, decision out, in the reference's order.

Model rewrites, objectives, admission, candidates, scheduling.
"""

from random import Random
from typing import Final

import numpy as np

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.errors import DroppedReason, ServiceUnavailable
from epp.core.domain.ports import Clock, RequestReport
from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest
from epp.core.domain.value import Value
from epp.core.flow.saturation import DEFAULT_DETECTOR, SaturationDetector, admit
from epp.core.flow.ticket import BreakOff
from epp.core.routing.model_rewrite import may_rewrite, rewritten
from epp.core.routing.priority import PriorityPolicy, resolve_priority
from epp.core.routing.subset import within_subset
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.pool_state import PoolState
from epp.core.state.snapshot import PoolSnapshot

NO_CANDIDATES: Final = "failed to find endpoint candidates for serving the request"


class RoutingPolicy(Value):
    """What `epp serve` was told about routing."""

    priority: PriorityPolicy = PriorityPolicy()
    saturation: SaturationDetector = DEFAULT_DETECTOR
    honour_subset: bool = True


class Router:
    """Decides for one pool; nothing here waits."""

    longest_wait_s = 0.0
    """after which `offer` has its answer for certain"""

    def __init__(
        self, roster: PoolState, scheduler: Scheduler, policy: RoutingPolicy, clock: Clock, rng: Random | None = None
    ) -> None:
        """`rng` chooses among the targets of a rewrite; without it the choices are the same in every run."""
        self._rng = rng or Random(0)
        self._roster = roster
        self._scheduler = scheduler
        self._policy = policy
        self._clock = clock
        self._everybody = PerSnapshot(Candidates)

    def take_over(self, policy: RoutingPolicy) -> None:
        """From the next request on `policy` counts."""
        self._policy = policy

    def decide(self, request: InferenceRequest) -> Decision:
        """The endpoint, with its place reserved; raises a Refusal."""
        return self._schedule(self.resolve(request), sheds=True)

    def resolve(self, request: InferenceRequest) -> InferenceRequest:
        """The request with everything that plugins and objects say about it: target model and priority are final."""
        snapshot = self._roster.current
        request = rewritten(self._scheduler.completed(request), snapshot.rewrites, self._rng)
        priority = resolve_priority(request, snapshot.objectives, self._policy.priority)
        return request if priority == request.priority else replaced(request, priority=priority)

    def offer(self, request: InferenceRequest, received_at: float) -> Decision:  # noqa: ARG002  nobody waits here
        """The endpoint of a resolved request, with its place reserved; raises a Refusal."""
        return self._schedule(request, sheds=True)

    def dispatch(self, request: InferenceRequest) -> Decision:
        """The endpoint of a resolved request that was admitted, with its place reserved; raises a Refusal."""
        return self._schedule(request, sheds=False)

    def choice(self, request: InferenceRequest) -> Candidates:
        """Who may be picked for a resolved request, before any plugin is asked; raises a Refusal for nobody."""
        now = self._clock()
        self._roster.ledger.refresh(now)
        return self._without_cooling(self._candidates(request, self._roster.current), now)

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        """The decision is on its way to the proxy; nobody here ever breaks it off."""

    def may_rewrite(self, request: InferenceRequest) -> bool:
        """Whether `resolve`, called now, may give the request another model: its body has to be kept for that."""
        return may_rewrite(request, self._roster.current.rewrites)

    def response_begun(self, decision: Decision, destination: str) -> None:
        """The response headers are here; Envoy says that `destination` served, empty if it does not say.

        If that is not the picked endpoint, the reservation moves there, unless it is not of the pool, and the picked
        one is held to be unreachable. Further stages are over by then, and their places are given back.
        """
        for pick in decision.further:
            self._release(pick.reservation)
        if not destination:
            return
        if destination == decision.destination:
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
        for pick in decision.further:
            self._release(pick.reservation)
        return self._release(decision.reservation)

    def _release(self, reservation: Reservation) -> bool:
        if not self._roster.ledger.release(reservation):
            return False
        self._scheduler.released(reservation)
        return True

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of a released request; called once, at once after `release`."""
        self._scheduler.finished(decision, report)

    def _schedule(self, request: InferenceRequest, *, sheds: bool) -> Decision:
        now = self._clock()
        self._roster.ledger.refresh(now)
        snapshot = self._roster.current
        candidates = self._candidates(request, snapshot)
        if sheds:
            admit(request, candidates, self._roster.ledger, self._policy.saturation, now)
        return self._scheduler.schedule(request, snapshot, self._without_cooling(candidates, now), now)

    def _candidates(self, request: InferenceRequest, snapshot: PoolSnapshot) -> Candidates:
        if not snapshot.endpoints:
            raise ServiceUnavailable(
                NO_CANDIDATES,
                hint="the pool has no ready endpoint" if snapshot.pool else "the InferencePool is not known yet",
                reason=DroppedReason.NO_ENDPOINTS,
                retry_after_s=1,
            )
        if request.subset is None or not self._policy.honour_subset:
            return self._everybody.of(snapshot)
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
        """Leaves out endpoints that could not be reached lately, unless that would leave nobody for a stage."""
        cooling = self._roster.cooldowns.cooling(now)
        if not cooling:
            return candidates
        warm = np.array([endpoint.key not in cooling for endpoint in candidates.endpoints])
        members = candidates.snapshot.stage_members
        if members is not None:
            for stage in (members.encode, members.prefill, members.decode):
                able = stage[candidates.positions]
                if not (able & warm).any():
                    warm |= able
        return candidates.keep(warm) if warm.any() else candidates
