"""One reconcile: wait for health, look at what is served, take the steps of the plan one after the other.

A step that fails does not keep the others from being taken. A configuration that is replaced on the way ends the
reconcile before its next step; what it wanted and the new one still wants is done by the next one.
"""

from collections.abc import Awaitable, Callable

import msgspec

from epp.core.domain.ports import Clock
from epp.edge.lora.configuration import LoraConfig, Target
from epp.edge.lora.model_server import LoraApi, ModelServerError
from epp.edge.lora.plan import Action, LoadedByUs, Step, plan, seen


class HealthWait(msgspec.Struct, frozen=True):
    """How long a reconcile waits for the server to be healthy, and how often it asks."""

    timeout_s: float
    interval_s: float


class StepTaken(msgspec.Struct, frozen=True):
    """A step and how it went."""

    step: Step
    is_served: bool
    """whether the server has the adapter now, as far as is known"""
    problem: str = ""
    """why it is not as wished; empty if it is"""


class Reconciled(msgspec.Struct, frozen=True):
    """How a reconcile went."""

    steps: tuple[StepTaken, ...] = ()
    problem: str = ""
    """why the server could not be asked; empty if it could"""
    is_superseded: bool = False
    """another configuration came on the way"""

    @property
    def is_complete(self) -> bool:
        """Everything is as wished."""
        return not self.problem and not self.is_superseded and not self.problems

    @property
    def problems(self) -> tuple[StepTaken, ...]:
        """The steps that failed."""
        return tuple(taken for taken in self.steps if taken.problem)


class Reconciler:
    """Keeps the books of what it loaded from one reconcile to the next; run one at a time."""

    def __init__(
        self,
        api: LoraApi,
        health: HealthWait,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        on_waiting: Callable[[Target, str], None],
        on_step: Callable[[StepTaken], None],
    ) -> None:
        """`on_waiting` is told why a reconcile has to wait for health, `on_step` of each step when it is taken."""
        self._api = api
        self._health = health
        self._clock = clock
        self._sleep = sleep
        self._on_waiting = on_waiting
        self._on_step = on_step
        self._target: Target | None = None
        self._ours: dict[str, LoadedByUs] = {}

    async def reconcile(self, in_force: Callable[[], LoraConfig]) -> Reconciled:
        """Makes the server serve what the configuration wants; `in_force` gives the newest one whenever it is asked."""
        try:
            config = await self._healthy(in_force)
            if config.target != self._target:
                self._target, self._ours = config.target, {}
            served = await self._api.served_models(config.target)
        except ModelServerError as error:
            return Reconciled(problem=str(error))
        self._ours = seen(served, self._ours)
        taken: list[StepTaken] = []
        for step in plan(config.wanted, config.unwanted, served, self._ours):
            if in_force() is not config:
                return Reconciled(tuple(taken), is_superseded=True)
            taken.append(await self._take(config.target, step))
            self._on_step(taken[-1])
        return Reconciled(tuple(taken))

    async def _healthy(self, in_force: Callable[[], LoraConfig]) -> LoraConfig:
        """The configuration whose server is healthy; raises ModelServerError when none was in time."""
        deadline = self._clock() + self._health.timeout_s
        said: Target | None = None
        while True:
            config = in_force()
            try:
                await self._api.check_health(config.target)
            except ModelServerError as error:
                if self._clock() >= deadline:
                    raise
                if config.target != said:
                    said = config.target
                    self._on_waiting(said, str(error))
            else:
                return config
            await self._sleep(self._health.interval_s)

    async def _take(self, target: Target, step: Step) -> StepTaken:
        adapter = step.adapter
        is_served = step.action not in (Action.LOAD, Action.ABSENT, Action.REFUSE)
        if step.action is Action.REFUSE:
            return StepTaken(step, is_served=False, problem=step.reason)
        try:
            if step.action in (Action.UNLOAD, Action.REPLACE):
                await self._api.unload(target, adapter.id)
                is_served = False
                self._ours.pop(adapter.id, None)
            if step.action in (Action.LOAD, Action.REPLACE):
                if await self._api.load(target, adapter):
                    self._ours[adapter.id] = LoadedByUs(adapter.source, adapter.base_model)
                is_served = True
        except ModelServerError as error:
            return StepTaken(step, is_served, str(error))
        return StepTaken(step, is_served)
