"""When to reconcile: at the start, when the configuration changes, every few seconds, and sooner after a failure.

There is never more than one reconcile at once. Whatever happens during one makes exactly one more run after it.
"""

import asyncio
from collections.abc import Awaitable, Callable

from epp.edge.lora.configuration import LoraConfig
from epp.edge.lora.reconcile import Reconciled

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
Reconcile = Callable[[Callable[[], LoraConfig]], Awaitable[Reconciled]]


class Syncer:
    """Reconciles while `run` runs."""

    def __init__(
        self,
        reconcile: Reconcile,
        *,
        period_s: float,
        sleep: Callable[[float], Awaitable[None]],
        on_reconciled: Callable[[Reconciled], None],
    ) -> None:
        """`period_s`: from the end of a reconcile to the next one when nothing happens."""
        self._reconcile = reconcile
        self._period_s = period_s
        self._sleep = sleep
        self._on_reconciled = on_reconciled
        self._changed = asyncio.Event()
        self._failures = 0
        self._was_complete = False
        self._last: Reconciled | None = None
        self.config: LoraConfig | None = None
        """in force; None until there was one"""

    @property
    def unready(self) -> str:
        """Why not every wish has been fulfilled once; empty when it has, and from then on."""
        if self._was_complete:
            return ""
        if self.config is None:
            return "there is no configuration yet"
        if self._last is None:
            return f"the model server at {self.config.target.url} is not healthy yet, or adapters are being loaded"
        missing = (f"{taken.step.adapter.id}: {taken.problem}" for taken in self._last.problems)
        return self._last.problem or "; ".join(missing) or "the configuration has changed"

    def take_over(self, config: LoraConfig) -> None:
        """Puts a configuration in force and has it reconciled."""
        self.config = config
        self._changed.set()

    async def run(self) -> None:
        """Reconciles until it is cancelled; waits for the first configuration."""
        await self._changed.wait()
        while True:
            self._changed.clear()
            result = await self._reconcile(self._in_force)
            self._last = result
            self._was_complete = self._was_complete or result.is_complete
            self._failures = self._failures + 1 if result.problem or result.problems else 0
            self._on_reconciled(result)
            await self._rest()

    def _in_force(self) -> LoraConfig:
        if self.config is None:
            raise RuntimeError("there is no configuration")  # run() waits for one
        return self.config

    async def _rest(self) -> None:
        """Until the configuration changes or time has come."""
        rest_s = self._period_s
        if self._failures:
            rest_s = min(rest_s, FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 10), LONGEST_RETRY_S)
        changed = asyncio.ensure_future(self._changed.wait())
        slept = asyncio.ensure_future(self._sleep(rest_s))
        try:
            await asyncio.wait({changed, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            slept.cancel()
