"""A LoraApi without a network: adapters by id, a journal of what it was told, and troubles on demand."""

from collections.abc import Callable

from epp.edge.lora.configuration import Adapter, Target
from epp.edge.lora.model_server import ModelServerError, Refused
from epp.edge.lora.plan import Served

URL = "http://localhost:8000"


class ScriptedModelServer:
    """`told` has one line for each request that changes something; the troubles are plain attributes."""

    def __init__(self, **sources: str) -> None:
        self.adapters = dict(sources)
        self.told: list[str] = []
        self.health_checks: list[Target] = []
        self.is_healthy: Callable[[], bool] = lambda: True
        self.cannot_list = False
        self.broken: set[str] = set()
        """ids that can neither be loaded nor unloaded"""
        self.loaded_meanwhile: set[str] = set()
        """ids that somebody else loads after we have looked"""
        self.on_load: Callable[[str], None] = lambda _: None

    async def check_health(self, target: Target) -> None:
        self.health_checks.append(target)
        if not self.is_healthy():
            raise Refused(f"{URL}/health", 503, "")

    async def served_models(self, target: Target) -> dict[str, Served]:
        if self.cannot_list:
            raise ModelServerError(f"{URL}/v1/models: no answer within 10 s")
        adapters = {name: Served(source) for name, source in self.adapters.items()}
        return {"base": Served("meta/base", is_base_model=True), **adapters}

    async def load(self, target: Target, adapter: Adapter) -> bool:
        self.told.append(f"load {adapter.id} from {adapter.source} on {adapter.base_model or 'any'}")
        self.on_load(adapter.id)
        if adapter.id in self.broken:
            raise Refused(f"{URL}/v1/load_lora_adapter", 404, f"No adapter found for {adapter.source}")
        if adapter.id in self.loaded_meanwhile:
            return False
        self.adapters[adapter.id] = adapter.source
        return True

    async def unload(self, target: Target, adapter_id: str) -> None:
        self.told.append(f"unload {adapter_id}")
        if adapter_id in self.broken:
            raise Refused(f"{URL}/v1/unload_lora_adapter", 500, "out of order")
        self.adapters.pop(adapter_id, None)
