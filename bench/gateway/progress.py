"""Shows on the terminal which case is being measured, and about how long the rest will take."""

import time
from collections.abc import Callable, Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from bench.gateway.cases import Case, Durations

START_S = 2.5
"""of a gateway, about"""
REFRESHES_PER_S = 2
"""few, because what is measured runs on the same cores"""


class CaseProgress:
    """`with CaseProgress(cases, durations) as progress:`; without a terminal it prints a line per case."""

    def __init__(
        self,
        cases: Sequence[Case],
        durations: Durations,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._left_s = seconds_left(cases, durations)
        self._total_s = max(self._left_s.values(), default=0.0)
        self._progress = Progress(
            _LeftColumn(clock),
            BarColumn(bar_width=30),
            TextColumn("{task.description}"),
            console=self._console,
            refresh_per_second=REFRESHES_PER_S,
            transient=True,
        )
        self._task = self._progress.add_task("", total=self._total_s, ends_at=clock() + self._total_s)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._progress.stop()

    def begin(self, case: Case) -> None:
        """This case comes now."""
        left_s = self._left_s[case.name]
        self._progress.update(self._task, completed=self._total_s - left_s, ends_at=self._clock() + left_s)
        self.note(case.name)

    def note(self, what: str) -> None:
        """What is being done now."""
        self._progress.update(self._task, description=what)
        if not self._console.is_terminal:
            self._console.print(what, highlight=False, soft_wrap=True)


def seconds_left(cases: Sequence[Case], durations: Durations) -> dict[str, float]:
    """By the name of a case: from its beginning to the end of all, with the starts of gateways."""
    left: dict[str, float] = {}
    total = 0.0
    for case, before in zip(reversed(cases), [*reversed(cases[:-1]), None], strict=True):
        shares_gateway = before is not None and before.gateway == case.gateway
        total += case.seconds(durations) + (0.0 if shares_gateway else START_S)
        left[case.name] = total
    return left


class _LeftColumn(ProgressColumn):
    max_refresh = 0.5

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> Text:
        left_s = max(0.0, task.fields["ends_at"] - self._clock())
        return Text(f"{left_s // 60:2.0f}:{left_s % 60:02.0f} left")
