"""What the syncer says: every change, and every trouble once, until it is another one or over."""

from pathlib import Path

from epp.edge.lora.configuration import LoraConfig, Target
from epp.edge.lora.plan import Action
from epp.edge.lora.reconcile import Reconciled, StepTaken
from epp.edge.observe.logs import Logger

_DONE = {Action.LOAD: "adapter loaded", Action.REPLACE: "adapter replaced", Action.UNLOAD: "adapter unloaded"}
_FAILED = {
    Action.LOAD: "adapter cannot be loaded",
    Action.REPLACE: "adapter cannot be replaced",
    Action.UNLOAD: "adapter cannot be unloaded",
    Action.REFUSE: "adapter is left alone",
}


class SyncLog:
    """Lines about one syncer."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._of_adapters: dict[str, str] = {}
        self._waiting_for = ""
        self._of_server = ""

    def started(self, version: str, config: Path, metrics_port: int) -> None:
        """It runs and listens."""
        self._logger.info("syncing", version=version, config=str(config), metrics_port=metrics_port)

    def stopped(self) -> None:
        """It has ended as it was told to."""
        self._logger.info("stopped")

    def configured(self, config: LoraConfig) -> None:
        """Another configuration is in force."""
        self._logger.info(
            "configuration taken over",
            source=config.source,
            server=config.target.url,
            wanted=len(config.wanted),
            unwanted=len(config.unwanted),
        )
        for notice in config.notices:
            self._logger.warning("accepted, but", notice=str(notice))
        if config.contested:
            ids = ", ".join(config.contested)
            self._logger.warning("in ensureExist and in ensureNotExist, so left as they are", adapters=ids)
        named = {*(adapter.id for adapter in config.wanted), *config.unwanted}
        self._of_adapters = {name: problem for name, problem in self._of_adapters.items() if name in named}

    def waiting(self, target: Target, problem: str) -> None:
        """A reconcile waits for the server to be healthy."""
        if self._waiting_for != target.url:
            self._waiting_for = target.url
            self._logger.info("waiting for the model server", server=target.url, problem=problem)

    def took_step(self, taken: StepTaken) -> None:
        """A step was taken; those that change nothing are said when an earlier trouble is over with them."""
        adapter, action = taken.step.adapter, taken.step.action
        former = self._of_adapters.pop(adapter.id, "")
        if taken.problem:
            self._of_adapters[adapter.id] = taken.problem
            say = self._logger.verbose if taken.problem == former else self._logger.error
            say(_FAILED[action], adapter=adapter.id, source=adapter.source, problem=taken.problem)
        elif action in _DONE:
            why = {"because": taken.step.reason} if taken.step.reason else {}
            self._logger.info(_DONE[action], adapter=adapter.id, source=adapter.source, **why)
        elif former:
            self._logger.info("adapter is as wished", adapter=adapter.id)

    def reconciled(self, result: Reconciled) -> None:
        """A reconcile ended."""
        former, self._of_server = self._of_server, result.problem
        if not result.problem:
            self._waiting_for = ""
        if result.problem and result.problem != former:
            self._logger.error("the model server cannot be asked; trying again", problem=result.problem)
        elif former and not result.problem:
            self._logger.info("the model server answers again")
        self._logger.verbose("reconciled", complete=result.is_complete, adapters=len(result.steps))

    def describe(self, taken: StepTaken) -> str:
        """One failed step as a line of text."""
        return f"{taken.step.adapter.id}: {_FAILED[taken.step.action]}: {taken.problem}"
