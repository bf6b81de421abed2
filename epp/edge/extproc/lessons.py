"""What plugins learn from decisions, once the replies were written: of all that came together, in one go."""

import asyncio
from collections.abc import Callable

Lesson = Callable[..., None]
"""called with `sees_answer`; raises nothing, whatever a plugin does"""


class Lessons:
    """Used on the thread of one event loop."""

    def __init__(self) -> None:
        self._due: list[tuple[tuple[Lesson, ...], bool]] = []

    def add(self, lessons: tuple[Lesson, ...], *, sees_answer: bool) -> None:
        """They run when the present work is done."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._learn)
        self._due.append((lessons, sees_answer))

    def _learn(self) -> None:
        due, self._due = self._due, []
        for lessons, sees_answer in due:
            for lesson in lessons:
                lesson(sees_answer=sees_answer)
