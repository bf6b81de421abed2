"""Following one publisher's numbered batches without losing any: what to apply, what to ask for again, what to drop.

Batches are numbered from 0, also after the engine was started again. A gap is filled by a replay that begins with the
batch applied last: when that one comes back with the same time, the publisher is the one that was followed, else it is
another and everything known is void. While a replay runs, live batches wait. What can be had no more (no replay socket,
the publisher's buffer too short, three attempts without an answer) is lost: all that is known becomes void, the batches
at hand are applied, and the cache is not completely known any more.

Rules for a live batch with number n after number `last`:
    n = last + 1                          applied; after a lost connection first checked by a replay
    n <= last, not younger than `last`    a repetition, dropped
    n <= last, younger                    the engine was started again: void, then from 0
    n > last, older than `last`           of an engine that is no more and waited for a replay, dropped; should it be a
                                          clock that was set back, the gap is noticed later
    n > last + 1                          a gap: replay
"""

from collections import deque

import msgspec

from epp.core.kvevents import Event, EventBatch

MOST_PENDING_BYTES = 16 << 20
ENTRY_BYTES = 1000
"""what a batch takes beside its payload"""
MOST_ATTEMPTS = 3
REPLAY_COOL_DOWN_S = 30.0
NO_SEQUENCE = -1
UNREADABLE = EventBatch(ts=float("nan"), events=())
"""stands for a batch that could not be read"""


class Apply(msgspec.Struct, frozen=True):
    """Take these events over."""

    events: tuple[Event, ...]


class Void(msgspec.Struct, frozen=True):
    """Forget all that is known of this engine."""


class Complete(msgspec.Struct, frozen=True):
    """From here on everything is known."""


class AskReplay(msgspec.Struct, frozen=True):
    """Ask for everything from `first` on; then call `replayed` for each, and `replay_ended` or `replay_failed`."""

    first: int


Command = Apply | Void | Complete | AskReplay


class EventSequence:
    """State of one subscription. Methods return commands to be carried out in order."""

    def __init__(self, *, can_replay: bool) -> None:
        self._can_replay = can_replay
        self._last = NO_SEQUENCE
        self._last_ts = 0.0
        self._is_replaying = False
        self._is_checking = False
        """the next replayed batch must be the one that was applied last"""
        self._is_stranger = False
        """the replay under way comes from another engine than expected; it is run off and asked for anew"""
        self._is_unchecked = False
        """the connection was lost since the last batch"""
        self._attempts = 0
        self._no_replay_until = 0.0
        self._pending: deque[tuple[int, EventBatch]] = deque()
        self._pending_bytes = 0

    @property
    def last(self) -> int:
        """Number of the batch applied last, -1 before the first."""
        return self._last

    @property
    def is_replaying(self) -> bool:
        """Whether a replay was asked for and has not ended."""
        return self._is_replaying

    def connected(self) -> list[Command]:
        """The publisher can be heard (again): nothing is trusted until its buffer was seen."""
        if self._is_replaying:
            return []
        if not self._can_replay:
            self._last = NO_SEQUENCE
            return [Void()]
        if self._last == NO_SEQUENCE:
            return [Void(), self._ask()]
        return [self._ask()]

    def disconnected(self) -> None:
        """The publisher cannot be heard any more.

        What waited may be of an engine that is no more when it is heard again; what is not comes with the next replay.
        """
        self._is_unchecked = True
        self._pending.clear()
        self._pending_bytes = 0

    def given_up(self) -> list[Command]:
        """The publisher has not been heard for so long that what is known is not believed any more."""
        self._last = NO_SEQUENCE
        return [Void()]

    def live(self, number: int, batch: EventBatch, now: float) -> list[Command]:
        """A batch as it was published."""
        if self._is_replaying:
            self._keep(number, batch)
            return []
        return self._take(number, batch, now)

    def replayed(self, number: int, batch: EventBatch) -> list[Command]:
        """A batch that was asked for."""
        if not self._is_replaying or self._is_stranger:
            return []
        was_checking, self._is_checking = self._is_checking, False
        if was_checking and number == self._last:
            self._is_stranger = batch is UNREADABLE or batch.ts != self._last_ts
            return []
        if number <= self._last:
            return []
        return self._advance(number, batch, has_gap=was_checking or number != self._last + 1)

    def replay_ended(self, now: float) -> list[Command]:
        """The replay is over."""
        self._is_replaying = False
        if self._is_stranger or self._is_checking:  # other batches than ours, or none at all
            return [*self._restart(), self._ask()]
        self._attempts += 1
        commands: list[Command] = []
        if self._last == NO_SEQUENCE and not self._pending and not self._is_unchecked:
            commands.append(Complete())  # nothing was published yet, so nothing is cached
        return commands + self._take_pending(now)

    def replay_failed(self, now: float) -> list[Command]:
        """No answer in time, or an unusable one."""
        self._is_replaying = False
        self._attempts += 1
        if self._attempts < MOST_ATTEMPTS:
            return [self._ask()]
        self._no_replay_until = now + REPLAY_COOL_DOWN_S
        self._last = NO_SEQUENCE
        return [Void(), *self._take_pending(now)]

    def _take(self, number: int, batch: EventBatch, now: float) -> list[Command]:
        may_ask = self._can_replay and now >= self._no_replay_until
        if number <= self._last:
            if not batch.ts > self._last_ts:
                return []
            return [*self._restart(), *self._take(number, batch, now)]
        if batch.ts < self._last_ts:
            return []
        has_gap = number != self._last + 1
        if may_ask and (has_gap or self._is_unchecked):
            if self._attempts < MOST_ATTEMPTS:
                self._keep(number, batch, first=True)
                return [self._ask()]
            self._no_replay_until = now + REPLAY_COOL_DOWN_S
        return self._advance(number, batch, has_gap=has_gap)

    def _advance(self, number: int, batch: EventBatch, *, has_gap: bool) -> list[Command]:
        is_first = self._last == NO_SEQUENCE
        self._last = number
        if batch is UNREADABLE:
            return [Void()]
        self._last_ts = batch.ts
        self._attempts = 0
        commands: list[Command] = []
        if has_gap:
            commands.append(Void())
        elif is_first:
            commands.append(Complete())
        commands.append(Apply(batch.events))
        return commands

    def _restart(self) -> list[Command]:
        self._last = NO_SEQUENCE
        self._last_ts = 0.0
        self._attempts = 0
        return [Void()]

    def _ask(self) -> AskReplay:
        self._is_replaying = True
        self._is_stranger = False
        self._is_unchecked = False
        self._is_checking = self._last != NO_SEQUENCE
        return AskReplay(max(self._last, 0))

    def _keep(self, number: int, batch: EventBatch, *, first: bool = False) -> None:
        """What does not fit is left out, and noticed as a gap later."""
        size_bytes = batch.payload_bytes + ENTRY_BYTES
        if self._pending_bytes + size_bytes <= MOST_PENDING_BYTES:
            (self._pending.appendleft if first else self._pending.append)((number, batch))
            self._pending_bytes += size_bytes

    def _take_pending(self, now: float) -> list[Command]:
        """Applies what waited; a gap among it asks for another replay and leaves the rest waiting."""
        commands: list[Command] = []
        while self._pending and not self._is_replaying:
            number, batch = self._pending.popleft()
            self._pending_bytes -= batch.payload_bytes + ENTRY_BYTES
            commands += self._take(number, batch, now)
        return commands
