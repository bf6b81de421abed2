"""The window of a burst: requests wait a moment for others that begin alike, and are placed together.

For policies with a `burst-prefix-cache-producer`. The first request opens a window, and all that come until it closes
are placed jointly; each then goes on by itself, to the router or into the queues of flow control, and carries its
placement with it. It is still scheduled and its place reserved in one step. A window closes when its time is over, or
early when it holds as many requests or bytes as it may.

Nobody waits who has nothing to win or no time: a prompt shorter than a block, a pool of fewer than two endpoints, a
request whose own waiting budget ends before the window does.

Whoever runs the event loop sets `wake` and answers it with `work`, as for `epp.core.routing.queueing`.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Protocol

import msgspec

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import Clock, RequestReport
from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest, Placement
from epp.core.flow import refusals
from epp.core.flow.item import own_budget_s
from epp.core.flow.ticket import Answer, BreakOff, QueueTicket, Ticket
from epp.core.scheduling.burst_placement import BurstPrompt
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.producers.burst_prefix_cache import BurstPrefixCacheProducer
from epp.core.scheduling.request_control import NoteFault
from epp.core.state.block_hashes import Chain
from epp.core.state.ledger import InFlightLedger

MOST_DISPATCHES = 32
"""per turn of the event loop; each costs a scheduling cycle"""
MOST_BODY_BYTES = 64 << 20
"""of all bodies in one window, which closes early with more"""
SLACK_S = 2.0
"""how much later than promised a window may be worked on before its requests are given up"""
FEWEST_ENDPOINTS = 2

Placements = tuple[Placement, ...]


class Onward(Protocol):
    """Where requests go from the window: `Router`, or `QueueingRouter` with flow control."""

    @property
    def longest_wait_s(self) -> float: ...
    def resolve(self, request: InferenceRequest) -> InferenceRequest: ...
    def offer(self, request: InferenceRequest, received_at: float) -> Decision | QueueTicket: ...
    def dispatched(self, decision: Decision, break_off: BreakOff) -> None: ...
    def response_begun(self, decision: Decision, destination: str) -> None: ...
    def first_token(self, decision: Decision) -> None: ...
    def release(self, decision: Decision) -> bool: ...
    def finished(self, decision: Decision, report: RequestReport) -> None: ...


class Pool(Protocol):
    """Who may be picked: `Router`."""

    def choice(self, request: InferenceRequest) -> Candidates: ...


class _Held(msgspec.Struct, frozen=True, eq=False):
    """A resolved request that waits; told apart by identity."""

    request: InferenceRequest
    received_at: float
    """monotonic seconds"""
    ticket: QueueTicket
    chains: tuple[Chain, ...]
    """one for each producer"""


class BurstRouter:
    """RoutingPort of a picker whose policy looks at bursts; see the module."""

    def __init__(
        self,
        onward: Onward,
        pool: Pool,
        ledger: InFlightLedger,
        *,
        clock: Clock,
        rng: Random,
        note_fault: NoteFault,
    ) -> None:
        self._onward = onward
        self._pool = pool
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._note_fault = note_fault
        self._producers: tuple[BurstPrefixCacheProducer, ...] = ()
        self._window_s = 0.0
        self._most_requests = math.inf
        self._window: dict[_Held, None] = {}
        self._closes_at = 0.0
        self._body_bytes = 0
        self._ready: OrderedDict[_Held, Placements] = OrderedDict()
        """whose window is closed, until they are dispatched"""
        self._is_draining = False
        self.wake: Callable[[], None] = lambda: None

    def take_over(self, producers: Sequence[BurstPrefixCacheProducer]) -> None:
        """The producers of the policy in force; none: nobody waits. An open window closes as it is."""
        if tuple(producers) != self._producers:
            if self._window:
                self._close()
            self._producers = tuple(producers)
            self._window_s = max((producer.window_s for producer in producers), default=0.0)
            self._most_requests = min((producer.most_requests for producer in producers), default=math.inf)

    def __len__(self) -> int:
        """How many wait here."""
        return len(self._window) + len(self._ready)

    @property
    def is_used(self) -> bool:
        """Whether the policy looks at bursts."""
        return bool(self._producers)

    def decide(self, request: InferenceRequest) -> Decision | QueueTicket:
        """The endpoint, or a place in the window or the queue; raises a Refusal."""
        request = self._onward.resolve(request)
        now = self._clock()
        if self._may_wait(request, now):
            chains = self._chains(request)
            if chains:
                return self._hold(request, chains, now)
        return self._onward.offer(request, now)

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        """See Onward."""
        self._onward.dispatched(decision, break_off)

    def response_begun(self, decision: Decision, destination: str) -> None:
        """See Onward."""
        self._onward.response_begun(decision, destination)

    def first_token(self, decision: Decision) -> None:
        """See Onward."""
        self._onward.first_token(decision)

    def release(self, decision: Decision) -> bool:
        """See Onward."""
        return self._onward.release(decision)

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """See Onward."""
        self._onward.finished(decision, report)

    def work(self) -> float | None:
        """Closes a window whose time is over and lets those go that were placed.

        Returns when it has something to do even if nothing changes, in monotonic seconds; None: never.
        """
        now = self._clock()
        if self._window and self._closes_at <= now:
            self._close()
        for _ in range(min(MOST_DISPATCHES, len(self._ready))):
            self._dispatch(*self._ready.popitem(last=False))
        if self._ready:
            return now
        return self._closes_at if self._window else None

    def drain(self) -> None:
        """The picker ends: refuses everybody who waits here, and from now on nobody does."""
        self._is_draining = True
        held = [*self._ready, *self._window]
        self._ready.clear()
        self._window.clear()
        self._body_bytes = 0
        for each in held:
            each.ticket.answer(refusals.shutting_down())

    def _may_wait(self, request: InferenceRequest, now: float) -> bool:
        if self._is_draining or not any(producer.may_share(request) for producer in self._producers):
            return False
        budget_s = own_budget_s(request)
        if budget_s is not None and now + budget_s <= (self._closes_at if self._window else now + self._window_s):
            return False
        try:
            return len(self._pool.choice(request)) >= FEWEST_ENDPOINTS
        except Refusal:  # for `offer` to say: with flow control the request may wait for an endpoint
            return False

    def _chains(self, request: InferenceRequest) -> tuple[Chain, ...]:
        """Empty when they cannot be told: the request does without, as without the product of any other producer."""
        try:
            return tuple(producer.chain(request) for producer in self._producers)
        except Exception as error:  # noqa: BLE001  it costs a pick its quality and nobody an answer
            self._note_fault("burst producer failed", request.request_id, error)
            return ()

    def _hold(self, request: InferenceRequest, chains: tuple[Chain, ...], now: float) -> QueueTicket:
        if not self._window:
            self._closes_at = now + self._window_s
            self.wake()
        ticket = QueueTicket(self._closes_at - now + SLACK_S + self._onward.longest_wait_s)
        held = _Held(request, now, ticket, chains)
        ticket.on_withdraw = partial(self._withdraw, held)
        self._window[held] = None
        self._body_bytes += request.body_bytes
        if len(self._window) >= self._most_requests or self._body_bytes >= MOST_BODY_BYTES:
            self._close()
        return ticket

    def _withdraw(self, held: _Held) -> None:
        if held in self._window:
            del self._window[held]
            self._body_bytes -= held.request.body_bytes
        else:
            self._ready.pop(held, None)

    def _close(self) -> None:
        batch = tuple(self._window)
        self._window.clear()
        self._body_bytes = 0
        placements: dict[_Held, Placements] = {}
        if len(batch) > 1:
            try:
                placements = self._place(batch)
            except Exception as error:  # noqa: BLE001  as for `_chains`
                self._note_fault("burst placement failed", batch[0].request.request_id, error)
        for held in batch:
            self._ready[held] = placements.get(held, ())
        self.wake()

    def _place(self, batch: Iterable[_Held]) -> dict[_Held, Placements]:
        """Jointly for all that have the same choice of endpoints."""
        by_subset: dict[tuple[str, ...] | None, list[_Held]] = {}
        for held in batch:
            by_subset.setdefault(held.request.subset, []).append(held)
        found: dict[_Held, Placements] = {}
        for members in by_subset.values():
            try:
                choice = self._pool.choice(members[0].request)
            except Refusal:  # for `offer` to say
                continue
            for number, producer in enumerate(self._producers):
                prompts = [BurstPrompt(held.chains[number], held.request.token_count) for held in members]
                for candidates in _apart_by_stage(choice):
                    placed = producer.place(prompts, candidates, self._ledger, self._rng)
                    for held, placement in zip(members, placed, strict=True):
                        if placement is not None:
                            found[held] = (*found.get(held, ()), placement)
        return found

    def _dispatch(self, held: _Held, placements: Placements) -> None:
        ticket = held.ticket
        ticket.on_withdraw = None
        request = replaced(held.request, placements=placements) if placements else held.request
        answer: Answer | QueueTicket
        try:
            answer = self._onward.offer(request, held.received_at)
        except Refusal as refusal:
            answer = refusal
        except Exception as error:  # noqa: BLE001  a plugin's fault becomes a clear 500 for this request alone
            answer = refusals.unscheduled(error)
        if isinstance(answer, QueueTicket):
            ticket.on_withdraw = answer.withdraw
            answer.on_answer(partial(self._pass_on, ticket))
        else:
            self._pass_on(ticket, answer)

    def _pass_on(self, ticket: Ticket, answer: Answer) -> None:
        if not ticket.answer(answer) and isinstance(answer, Decision):
            self._onward.release(answer)


def _apart_by_stage(candidates: Candidates) -> list[Candidates]:
    """Those that decode, and those that only prefill; everybody where nobody has a role."""
    members = candidates.snapshot.stage_members
    if members is None:
        return [candidates]
    decode, prefill = members.decode[candidates.positions], members.prefill[candidates.positions]
    return [candidates.keep(mask) for mask in (decode, prefill & ~decode) if mask.any()]
