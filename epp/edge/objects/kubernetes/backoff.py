"""How long to wait before asking again: twice as long each time, up to a limit, with jitter.

Jitter keeps many pickers from asking a server that has just come back in the same moment.
"""

from collections.abc import Callable

FIRST_S = 0.25
MOST_S = 5.0


class Backoff:
    """Waits of 0.25 s, 0.5 s, 1 s, ... 5 s, each times a random factor from 0.5 to 1."""

    def __init__(self, random: Callable[[], float], *, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        """`random` gives numbers from 0 to 1."""
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._failures = 0

    def next_s(self, at_least_s: float | None = None) -> float:
        """The wait after one more failure; never less than `at_least_s`, which the other side asked for."""
        wait_s = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 30)) * (0.5 + self._random() / 2.0)
        self._failures += 1
        return max(wait_s, at_least_s or 0.0)

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
