"""Cool-downs: an endpoint that cannot be reached twice in a row is left alone for a while.

Only failures of local origin count (no HTTP answer at all): a model server's own error says nothing about the path to
it. First 5 s, doubled at each further failure that follows without a success, at most 60 s.
"""

from collections.abc import Callable
from typing import Final

FAILURES_BEFORE_COOLING: Final = 2
FIRST_COOLING_S: Final = 5.0
LONGEST_COOLING_S: Final = 60.0
MOST_DOUBLINGS: Final = 6  # enough for the longest one; a dead endpoint fails for days


class CoolDowns:
    """Keeps consecutive failures and the end of the cool-down per endpoint key."""

    def __init__(self) -> None:
        self._failures: dict[str, int] = {}
        self._cool_until: dict[str, float] = {}

    def failed(self, key: str, now: float) -> bool:
        """One more failure of local origin in a row; False where it changes nothing."""
        if self.is_cooling(key, now):
            return False
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        if failures >= FAILURES_BEFORE_COOLING:
            doublings = min(failures - FAILURES_BEFORE_COOLING, MOST_DOUBLINGS)
            self._cool_until[key] = now + min(FIRST_COOLING_S * 2**doublings, LONGEST_COOLING_S)
        return True

    def succeeded(self, key: str, now: float) -> bool:
        """The endpoint answered: the row of failures is over; a running cool-down still runs to its end.

        False where it changes nothing.
        """
        had_failed = self._failures.pop(key, None) is not None
        if key in self._cool_until and not self.is_cooling(key, now):
            del self._cool_until[key]
            return True
        return had_failed

    def forget(self, key: str) -> None:
        """The endpoint left the pool."""
        self._failures.pop(key, None)
        self._cool_until.pop(key, None)

    def known(self) -> dict[str, tuple[int, float]]:
        """Failures in a row and the end of the cool-down in monotonic seconds (0: none), by key; for `begin_with`."""
        keys = self._failures.keys() | self._cool_until.keys()
        return {key: (self._failures.get(key, 0), self._cool_until.get(key, 0.0)) for key in keys}

    def begin_with(self, known: dict[str, tuple[int, float]]) -> None:
        """What another process on this machine knew when this one was started."""
        for key, (failures, until) in known.items():
            if failures:
                self._failures[key] = failures
            if until:
                self._cool_until[key] = until

    def is_cooling(self, key: str, now: float) -> bool:
        """Whether the endpoint is to be avoided at `now`."""
        until = self._cool_until.get(key)
        return until is not None and now < until

    def cooling(self, now: float) -> frozenset[str]:
        """Keys of all endpoints to be avoided at `now`; empty in the ordinary case."""
        if not self._cool_until:
            return frozenset()
        return frozenset(key for key, until in self._cool_until.items() if now < until)


class ToldCoolDowns(CoolDowns):
    """CoolDowns that several processes keep alike: each tells the others what has changed its own."""

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        """`tell` is called with key and whether it failed."""
        super().__init__()
        self._tell = tell

    def failed(self, key: str, now: float) -> bool:
        """See CoolDowns."""
        changed = super().failed(key, now)
        if changed:
            self._tell(key, True)
        return changed

    def succeeded(self, key: str, now: float) -> bool:
        """See CoolDowns."""
        changed = super().succeeded(key, now)
        if changed:
            self._tell(key, False)
        return changed

    def heard(self, key: str, now: float, *, failed: bool) -> None:
        """Another process tells."""
        if failed:
            super().failed(key, now)
        else:
            super().succeeded(key, now)
