"""Follows --config-file: a new text that is good takes over, one that is not is reported and changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput, PickerError
from epp.edge.objects.file_watch import FileWatch
from epp.edge.observe.logs import Logger

POLL_PERIOD_S = 0.25
MOST_BYTES = 1 << 20


class ConfigWatch:
    """A change counts when two looks in a row agree on it (see FileWatch)."""

    def __init__(
        self,
        path: Path,
        in_force: PickerConfig,
        *,
        load: Callable[[bytes], PickerConfig],
        take_over: Callable[[PickerConfig], None],
        logger: Logger,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`load` and `take_over` raise PickerError for what cannot be used; then `in_force` stays."""
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

    def _try(self, content: bytes) -> None:
        try:
            config = self._load(content)
            if config == self.in_force:
                self.problem = ""
                return
            config = self._without_fixed(config)
            self._take_over(config)
        except PickerError as error:
            self._reject(str(error))
            return
        except Exception as error:  # noqa: BLE001  a fault of ours must not end a picker that works
            self._reject(f"{type(error).__name__}: {error}")
            return
        self.in_force, self.problem = config, ""
        self._logger.info("configuration taken over", source=config.source)
        for notice in config.notices:
            self._logger.warning("accepted, but", notice=str(notice))

    def _without_fixed(self, config: PickerConfig) -> PickerConfig:
        """What was decided at the start stays until the next one; raises InvalidInput where the rest depends on it."""
        fixed = ("gates", "metrics", "discovery")
        changed = [name for name in fixed if getattr(config, name) != getattr(self.in_force, name)]
        if changed:
            self._logger.warning("takes effect at the next start only", changed=", ".join(changed))
        config = msgspec.structs.replace(config, **{name: getattr(self.in_force, name) for name in fixed})
        extracted = config.metrics.custom_attributes if config.metrics else ()
        missing = [repr(key) for key in config.attributes_read if key not in extracted]
        if missing:
            raise InvalidInput(config.source, f"{', '.join(missing)} would be extracted from the next start on only")
        return config

    def _reject(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._logger.error("configuration not taken over; the former one stays in force", problem=problem)
