"""Problems that repeat: the first is logged at once, later ones at most once per interval, with their number."""

from collections import OrderedDict

from epp.core.domain.ports import Clock
from epp.edge.observe.logs import Logger

MOST_KEYS = 1_000


class _Seen:
    __slots__ = ("left_out", "logged_at")

    def __init__(self, logged_at: float) -> None:
        self.logged_at = logged_at
        self.left_out = 0


class RepeatedProblems:
    """Rate limit per key; the keys longest not logged are forgotten beyond 1,000."""

    def __init__(self, logger: Logger, clock: Clock, *, every_s: float = 30.0, most_keys: int = MOST_KEYS) -> None:
        self._logger = logger
        self._clock = clock
        self._every_s = every_s
        self._most_keys = most_keys
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def warning(self, key: str, event: str, **fields: object) -> bool:
        """Logs the event unless one with the same key was logged within the interval; True when it did.

        A line after left-out ones says how many in `left_out`.
        """
        now = self._clock()
        seen = self._seen.get(key)
        if seen is not None and now - seen.logged_at < self._every_s:
            seen.left_out += 1
            return False
        if seen is not None and seen.left_out:
            fields["left_out"] = seen.left_out
        self._seen[key] = _Seen(now)
        self._seen.move_to_end(key)
        if len(self._seen) > self._most_keys:
            self._seen.popitem(last=False)
        self._logger.warning(event, **fields)
        return True

    def fault(self, event: str, request_id: str, error: BaseException) -> None:
        """A fault in the handling of one request, with its traceback; limited per event and type of error."""
        self.warning(f"{event}: {type(error).__name__}", event, request_id=request_id, exc_info=error)
