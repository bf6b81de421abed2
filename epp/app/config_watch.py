"""Follows --config-file: what may change while the picker serves is taken over, the rest waits for the next start."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from epp.app.watched_file import WatchedFile
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.edge.observe.logs import Logger

FIXED = ("gates", "metrics", "discovery")
"""parts of the configuration"""


class ConfigWatch:
    """A WatchedFile with an EndpointPickerConfig in it."""

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
        self._pass_on = take_over
        self._logger = logger
        self._file = WatchedFile(path, in_force, load=load, take_over=self._take_over, logger=logger, sleep=sleep)
        self.in_force = in_force

    @property
    def problem(self) -> str:
        """Why the file as it is now is not in force; empty when it is."""
        return self._file.problem

    async def run(self) -> None:
        """Looks until it is cancelled."""
        await self._file.run()

    def look(self) -> None:
        """Takes the file over if it has changed."""
        self._file.look()

    def withdraw(self, former: PickerConfig, problem: str) -> None:
        """What was taken over last is not in force after all: `former` is."""
        self.in_force = former
        self._file.withdraw(former, problem)

    def _take_over(self, config: PickerConfig) -> PickerConfig:
        config = self._without_fixed(config)
        self._pass_on(config)
        self.in_force = config
        self._logger.info("configuration taken over", source=config.source)
        for notice in config.notices:
            self._logger.warning("accepted, but", notice=str(notice))
        return config

    def _without_fixed(self, config: PickerConfig) -> PickerConfig:
        changed = [name for name in FIXED if getattr(config, name) != getattr(self.in_force, name)]
        if changed:
            self._logger.warning("takes effect at the next start only", changed=", ".join(changed))
        return with_fixed_parts(config, self.in_force)


def with_fixed_parts(config: PickerConfig, in_force: PickerConfig) -> PickerConfig:
    """What was decided at the start stays until the next one; raises InvalidInput where the rest depends on it."""
    config = msgspec.structs.replace(config, **{name: getattr(in_force, name) for name in FIXED})
    extracted = config.metrics.custom_attributes if config.metrics else ()
    missing = [repr(key) for key in config.attributes_read if key not in extracted]
    if missing:
        raise InvalidInput(config.source, f"{', '.join(missing)} would be extracted from the next start on only")
    return config
