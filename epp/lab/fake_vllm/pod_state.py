"""What the HTTP handlers of one pod share."""

import asyncio
import time

from epp.lab.fake_vllm.adapters import AdapterRegistry
from epp.lab.fake_vllm.asks import ServedModels
from epp.lab.fake_vllm.driver import EngineDriver
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.faults import FaultState
from epp.lab.fake_vllm.journal import Journal
from epp.lab.fake_vllm.settings import PodSettings


class PodState:
    """Settings, engine, adapters, faults, journal, and the count of inference requests under way."""

    def __init__(self, settings: PodSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.engine = Engine(settings.engine)
        self.driver = EngineDriver(self.engine, loop)
        self.adapters = AdapterRegistry()
        self.models = ServedModels(settings, self.adapters)
        self.faults = FaultState()
        self.journal = Journal()
        self.started_unix_s = time.time()
        self.draining = False
        self.active = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        for source in settings.adapters:
            self.adapters.load(source.name, source.path, source.base_model_name or settings.names[0])

    def begin_request(self) -> None:
        """One inference request more under way."""
        self.active += 1
        self._quiet.clear()

    def end_request(self) -> None:
        """One less."""
        self.active -= 1
        if self.active == 0:
            self._quiet.set()

    async def quiet(self) -> None:
        """Waits until no inference request is under way."""
        await self._quiet.wait()
