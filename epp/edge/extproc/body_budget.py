"""A bound on the bytes of all request bodies that are held at once (`--max-buffered-bytes`)."""

from collections.abc import Callable


class BodyBudget:
    """Streams add what they hold; above the limit they wait, and are told when there is room again."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def is_full(self) -> bool:
        """Whether a stream that wants to read more must wait."""
        return self.held_bytes > self.limit_bytes

    @property
    def waiting_streams(self) -> int:
        """Streams that wait for room."""
        return len(self._waiting)

    def change(self, delta_bytes: int) -> None:
        """A stream holds more (positive) or less (negative); less may let waiting streams go on."""
        self.held_bytes += delta_bytes
        if delta_bytes < 0 and self._waiting and not self.is_full:
            waiting, self._waiting = self._waiting, {}
            for resume in waiting.values():
                resume()

    def wait(self, who: object, resume: Callable[[], None]) -> None:
        """Calls `resume` once when there is room."""
        self._waiting[who] = resume

    def leave(self, who: object) -> None:
        """`who` does not wait any more."""
        self._waiting.pop(who, None)
