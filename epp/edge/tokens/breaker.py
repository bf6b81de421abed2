"""A circuit breaker: whoever failed several times in a row is left alone for a while, each time for twice as long."""

from epp.core.domain.ports import Clock

FAILURES_TO_OPEN = 3
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0


class CircuitBreaker:
    """Of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._closed_at = 0.0

    def may_be_asked(self) -> bool:
        """Whether it may be asked; after a pause one failure is enough for the next."""
        return self._failures < FAILURES_TO_OPEN or self._clock() >= self._closed_at

    def succeeded(self) -> None:
        """It answered."""
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S

    def failed(self) -> None:
        """It did not, or not in time. Failures of questions that were under way when it opened count once."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN and self._clock() >= self._closed_at:
            self._closed_at = self._clock() + self._pause_s
            self._pause_s = min(2.0 * self._pause_s, LONGEST_PAUSE_S)
