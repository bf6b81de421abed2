"""In-flight eviction: breaks off dispatched requests that may be shed, for a higher band that saturation holds back.

Who: priority < 0 (sheddable-eviction-filter) and below that of the band that waits; lowest priority first, newest
dispatch first (priority-then-time-eviction-order-policy), as the newest has the least work to lose. A request whose
response headers have begun is spared unless configured: its client would see a broken answer and no error.
How many: each request is credited with saturation / in-flight; n = max(1, ceil(deficit / credit)), at most 2 at a time.
When: stop and wait. Nothing more is broken off before the last ones are confirmed (their streams ended, or 10 s went by
without a sign) and saturation had the time to show it (`settle_s`). Source: flow control of llm-d-router v0.10.
"""

import math
from typing import Generic

import msgspec

from epp.core.flow.live_heap import LiveHeap, T
from epp.core.flow.statistics import Blocked


class EvictionSettings(msgspec.Struct, frozen=True):
    """Defaults of the reference."""

    most_outstanding: int = 2
    confirmation_timeout_s: float = 10.0
    settle_s: float = 0.01
    """0.01 for saturation from our own counts; for scraped saturation scrape interval + staleness + 0.25"""
    spare_begun: bool = True
    """spares requests whose response headers have been seen"""


class InFlightEvictor(Generic[T]):
    """Handles are the caller's; only requests that may be shed are kept. O(log n) per operation."""

    def __init__(self, settings: EvictionSettings) -> None:
        self._settings = settings
        self._candidates: LiveHeap[T] = LiveHeap()
        self._outstanding: dict[T, float] = {}
        """since when, in order"""
        self._quiet_until = -math.inf
        self._serial = 0
        self.unconfirmed = 0
        """evictions that were given up: no sign within the confirmation timeout"""

    def reconfigure(self, settings: EvictionSettings) -> None:
        """From now on these settings count; a request that was spared stays so."""
        self._settings = settings

    def __len__(self) -> int:
        """How many could be broken off."""
        return len(self._candidates)

    @property
    def outstanding(self) -> int:
        """Broken off and not confirmed."""
        return len(self._outstanding)

    def dispatched(self, handle: T, priority: int) -> None:
        """A request was dispatched."""
        if priority < 0:
            self._serial += 1
            self._candidates.put(handle, (float(priority), -self._serial))

    def response_begun(self, handle: T) -> None:
        """The response headers of a request were seen."""
        if self._settings.spare_begun:
            self._candidates.discard(handle)

    def finished(self, handle: T, now: float) -> bool:
        """A request is over, however it ended; True when that confirms an eviction."""
        self._candidates.discard(handle)
        if self._outstanding.pop(handle, None) is None:
            return False
        self._quiet_until = now + self._settings.settle_s
        return True

    def choose(self, blocked: Blocked | None, in_flight: int, now: float) -> list[T]:
        """Whom to break off now; `in_flight` is what the whole pool works on."""
        self._give_up(now)
        if blocked is None or self._outstanding or now < self._quiet_until:
            return []
        chosen: list[T] = []
        for _ in range(min(self._wanted(blocked, in_flight), self._settings.most_outstanding)):
            first = self._candidates.first()
            if first is None or first[1][0] >= blocked.priority:
                break
            self._candidates.discard(first[0])
            self._outstanding[first[0]] = now
            chosen.append(first[0])
        return chosen

    def next_deadline(self) -> float | None:
        """When `choose` may do what it would not do now, though nothing changes; None: never."""
        if self._outstanding:
            return next(iter(self._outstanding.values())) + self._settings.confirmation_timeout_s
        return None if math.isinf(self._quiet_until) else self._quiet_until

    def _wanted(self, blocked: Blocked, in_flight: int) -> int:
        if in_flight <= 0 or blocked.saturation <= 0.0:
            return 0
        credit = blocked.saturation / in_flight
        return max(1, math.ceil(blocked.deficit / credit))

    def _give_up(self, now: float) -> None:
        for handle, since in list(self._outstanding.items()):
            if now - since >= self._settings.confirmation_timeout_s:
                del self._outstanding[handle]
                self.unconfirmed += 1
        if now >= self._quiet_until:
            self._quiet_until = -math.inf
