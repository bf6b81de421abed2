"""Leader election by a Lease: of several replicas one leads, and another one follows within seconds when it ends.

Nobody compares clocks of two machines: a candidate measures by its own clock for how long it has seen the lease
unchanged. A leader that cannot renew stops leading RENEW_WITHIN_S after it last could, before anybody else may begin
(LEASE_S after the last change that they saw). Source: client-go's leaderelection and its defaults in
controller-runtime.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from epp.core.domain.ports import Clock
from epp.edge.objects.kubernetes.errors import ApiError, Conflict

LEASE_S = 15
RENEW_WITHIN_S = 10.0
RETRY_S = 2.0
RELEASE_WITHIN_S = 3.0


class LeaseRecord(msgspec.Struct, frozen=True):
    """What the lease says; `version` changes with every write."""

    holder: str
    """empty: nobody leads"""
    lease_s: int
    acquired_at: str = ""
    transitions: int = 0
    version: str = ""


class LeaseStore(Protocol):
    """Keeps one lease. Both methods raise ApiError within `timeout_s`."""

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        """The lease as it is, None before there is one."""
        ...

    async def write(self, record: LeaseRecord, renewed_at: str, timeout_s: float) -> LeaseRecord:
        """Replaces the version that `record` names, or creates the lease where it names none.

        Raises Conflict when somebody was faster. `renewed_at` is RFC 3339 with microseconds.
        """
        ...


class Leadership(msgspec.Struct, frozen=True):
    """Who leads, as far as this replica knows."""

    leads: bool
    holder: str = ""
    """the leader's identity; empty before the lease was read, and while nobody leads"""
    problem: str = ""
    """why the lease cannot be read or renewed"""


class Election:
    """`run` until cancelled, then `release`. `on_change` hears of every change of `leadership`."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        *,
        on_change: Callable[[Leadership], None],
        clock: Clock,
        now: Callable[[], dt.datetime],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        """`identity` is unique among all replicas; `now` is the time in UTC, which nobody decides by."""
        self._store = store
        self._identity = identity
        self._on_change = on_change
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._random = random
        self._observed: LeaseRecord | None = None
        self._observed_at = clock()
        self._renewed_at = float("-inf")
        self.leadership = Leadership(leads=False)

    async def run(self) -> None:
        """Tries to lead, and to go on leading, until it is cancelled."""
        while True:
            await self._attempt()
            await self._sleep(min(RETRY_S * (1.0 + 0.2 * self._random()), self._patience_s()))

    async def release(self) -> None:
        """Gives the lease back, so that others need not wait until it has run out; raises nothing."""
        record, led = self._observed, self.leadership.leads
        self._set(Leadership(leads=False))
        if record is None or not led:
            return
        given_back = msgspec.structs.replace(record, holder="", lease_s=1)
        try:
            await self._store.write(given_back, self._time(), RELEASE_WITHIN_S)
        except ApiError as error:
            self._set(Leadership(leads=False, problem=f"the lease was not given back: {error}"))

    async def _attempt(self) -> None:
        try:
            await self._acquire_or_renew()
        except ApiError as error:
            leads = self.leadership.leads and self._clock() < self._renewed_at + RENEW_WITHIN_S
            holder = self._observed.holder if self._observed else ""
            problem = "" if isinstance(error, Conflict) else f"the lease cannot be renewed: {error}"
            self._set(Leadership(leads, self._identity if leads else holder, problem))

    async def _acquire_or_renew(self) -> None:
        asked_at = self._clock()
        found = await self._store.read(self._patience_s())
        if found is not None and (self._observed is None or found.version != self._observed.version):
            self._observed, self._observed_at = found, self._clock()
        if found is not None and found.holder not in ("", self._identity) and self._is_valid(found):
            self._set(Leadership(leads=False, holder=found.holder))
            return
        self._observed = await self._store.write(self._mine(found), self._time(), self._patience_s())
        self._observed_at = self._clock()
        self._renewed_at = asked_at
        self._set(Leadership(leads=True, holder=self._identity))

    def _mine(self, found: LeaseRecord | None) -> LeaseRecord:
        if found is None:
            return LeaseRecord(self._identity, LEASE_S, self._time())
        if found.holder == self._identity:
            return msgspec.structs.replace(found, lease_s=LEASE_S)
        return LeaseRecord(self._identity, LEASE_S, self._time(), found.transitions + 1, found.version)

    def _is_valid(self, found: LeaseRecord) -> bool:
        return self._clock() < self._observed_at + found.lease_s

    def _patience_s(self) -> float:
        """How long an answer may take: a leader must know in time that it leads no more."""
        if not self.leadership.leads:
            return RENEW_WITHIN_S
        return max(0.01, self._renewed_at + RENEW_WITHIN_S - self._clock())

    def _time(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _set(self, leadership: Leadership) -> None:
        if leadership != self.leadership:
            self.leadership = leadership
            self._on_change(leadership)
