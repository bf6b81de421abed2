"""Follows one file: a new text that is good takes over, one that is not is reported and changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, TypeVar

from epp.core.domain.errors import PickerError
from epp.edge.objects.file_watch import FileWatch
from epp.edge.observe.logs import Logger

POLL_PERIOD_S = 0.25
MOST_BYTES = 1 << 20
T = TypeVar("T")


class WatchedFile(Generic[T]):
    """A change counts when two looks in a row agree on it (see FileWatch)."""

    def __init__(
        self,
        path: Path,
        in_force: T | None,
        *,
        load: Callable[[bytes], T],
        take_over: Callable[[T], T],
        logger: Logger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`load` and `take_over` raise PickerError for what cannot be used; then `in_force` stays.

        `take_over` returns what is in force from then on. `in_force` None: nothing is yet, and the file may come later.
        """
        self._path = path
        self._load = load
        self._take_over = take_over
        self._logger = logger
        self._sleep = sleep
        self._watch = FileWatch(path, most_bytes=MOST_BYTES)
        self.in_force = in_force
        self.problem = ""
        """why the file as it is now is not in force; empty when it is"""

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            self.look()
            await self._sleep(POLL_PERIOD_S)

    def look(self) -> None:
        """Takes the file over if it has changed."""
        changes = self._watch.look()
        for content in changes.changed.values():
            self._try(content)
        if changes.problems or changes.gone:
            self._reject("; ".join(map(str, changes.problems)) or f"{self._path} is gone")
        elif self.in_force is None and not changes.root_exists:
            self._reject(f"{self._path} is not there yet")

    def withdraw(self, former: T, problem: str) -> None:
        """What was taken over last is not in force after all: `former` is."""
        self.in_force = former
        self._reject(problem)

    def _try(self, content: bytes) -> None:
        try:
            loaded = self._load(content)
            if loaded != self.in_force:
                self.in_force = self._take_over(loaded)
        except PickerError as error:
            self._reject(str(error))
        except Exception as error:  # noqa: BLE001  a fault of ours must not end a process that works
            self._reject(f"{type(error).__name__}: {error}")
        else:
            self.problem = ""

    def _reject(self, problem: str) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        if self.in_force is None:
            self._logger.error("no configuration yet; waiting for a good one", problem=problem)
        else:
            self._logger.error("configuration not taken over; the former one stays in force", problem=problem)
