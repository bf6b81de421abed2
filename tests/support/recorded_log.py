"""A Logger that keeps its lines, without anything that is global."""

from typing import Any


class RecordedLog:
    """`lines` has one dict per line: `event`, `level` and the fields."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def take(self) -> list[dict[str, Any]]:
        """The lines since the last call."""
        lines, self.lines = self.lines, []
        return lines

    def bind(self, **fields: object) -> "RecordedLog":
        raise NotImplementedError("nobody has needed it yet")

    def is_enabled_for(self, level: int) -> bool:
        return True

    def trace(self, event: str, **fields: object) -> None:
        self._keep("trace", event, fields)

    def debug(self, event: str, **fields: object) -> None:
        self._keep("debug", event, fields)

    def verbose(self, event: str, **fields: object) -> None:
        self._keep("verbose", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._keep("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._keep("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._keep("error", event, fields)

    def _keep(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.lines.append({"event": event, "level": level, **fields})
