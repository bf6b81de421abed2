"""What the HTTP handlers of one pod share."""

import asyncio
import time

from epp.lab.fake_vllm.adapters import AdapterRegistry
from epp.lab.fake_vllm.asks import ServedModels
from epp.lab.fake_vllm.driver import EngineDriver
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.faults import FaultState
from epp.lab.fake_vllm.journal import Journal
from epp.lab.fake_vllm.kv_event_log import KvEventLog
from epp.lab.fake_vllm.kv_publisher import KvEventPublisher
from epp.lab.fake_vllm.settings import PodSettings


class PodState:
    """Settings, engine, adapters, faults, journal, and the count of inference requests under way."""

    def __init__(
        self, settings: PodSettings, loop: asyncio.AbstractEventLoop, publisher: KvEventPublisher | None = None
    ) -> None:
        self.settings = settings
        self.kv_events = KvEventLog(settings.engine.block_size) if publisher is not None else None
        self.engine = Engine(settings.engine, self.kv_events)
        self.driver = EngineDriver(self.engine, loop, self.publish_kv_events)
        self._publisher = publisher
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

    def publish_kv_events(self) -> None:
        """Sends what happened to the prefix cache since the last time."""
        if self._publisher is not None and self.kv_events is not None:
            self._publisher.publish(self.kv_events.take(), lost=self.faults.faults.kv_events == "lost")

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
