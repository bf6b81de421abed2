"""GET /v1/models, POST /v1/load_lora_adapter and /v1/unload_lora_adapter."""

import msgspec
from aiohttp import web

from epp.lab.fake_vllm.bodies import FieldsT, read_fields
from epp.lab.fake_vllm.errors import bad_adapter, injected, not_found
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies, read_body, until_disconnected


class LoadFields(msgspec.Struct, frozen=True):
    """Body of a load. Other fields are ignored, `base_model_name` too: vLLM takes it at its start only."""

    lora_name: str = ""
    lora_path: str = ""
    load_inplace: bool = False


class UnloadFields(msgspec.Struct, frozen=True):
    """Body of an unload."""

    lora_name: str = ""


class ModelCard(msgspec.Struct, frozen=True):
    """One served model; `root` is where it came from, `parent` the base model of an adapter."""

    id: str
    object: str
    created: int
    owned_by: str
    root: str
    parent: str | None
    max_model_len: int | None
    permission: tuple[dict[str, str | int | bool | None], ...]


class ModelsApi:
    """The endpoints that list and change the served models of one pod."""

    def __init__(self, state: PodState, replies: Replies) -> None:
        self._state = state
        self._replies = replies

    async def list_models(self, request: web.BaseRequest) -> web.StreamResponse:
        """The base model under each of its names, then the adapters."""
        settings = self._state.settings
        cards = [self._card(name, settings.model, None, settings.engine.context_tokens) for name in settings.names]
        cards += [self._card(each.name, each.path, each.base_model_name, None) for each in self._state.adapters.all()]
        return self._replies.json(request, msgspec.json.encode({"object": "list", "data": cards}))

    async def load(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serves one adapter more. Raises ApiError: 400 without name or path, or when the name is loaded already; 404
        when there is nothing at the path, which only a fault brings about."""
        fields = await self._read(request, LoadFields)
        if not fields.lora_name or not fields.lora_path:
            raise bad_adapter("Both 'lora_name' and 'lora_path' must be provided.")
        if not self._state.settings.engine.max_loras:
            raise bad_adapter("LoRA is not enabled. Use --enable-lora to enable LoRA.")
        if not fields.load_inplace and self._state.adapters.get(fields.lora_name) is not None:
            raise bad_adapter(
                f"The lora adapter '{fields.lora_name}' has already been loaded. If you want to load the adapter in "
                "place, set 'load_inplace' to True."
            )
        if fields.lora_path in self._state.faults.faults.missing_sources:
            raise not_found(f"Loading lora {fields.lora_name} failed: No adapter found for {fields.lora_path}")
        self._state.adapters.load(fields.lora_name, fields.lora_path, self._state.settings.names[0])
        return self._replies.plain(request, f"Success: LoRA adapter '{fields.lora_name}' added successfully.".encode())

    async def unload(self, request: web.BaseRequest) -> web.StreamResponse:
        """Stops serving an adapter. Raises ApiError: 400 without a name, 404 when it is not loaded."""
        fields = await self._read(request, UnloadFields)
        if not fields.lora_name:
            raise bad_adapter("'lora_name' needs to be provided to unload a LoRA adapter.")
        if not self._state.adapters.unload(fields.lora_name):
            raise not_found(f"The lora adapter '{fields.lora_name}' cannot be found.")
        done = f"Success: LoRA adapter '{fields.lora_name}' removed successfully."
        return self._replies.plain(request, done.encode())

    async def _read(self, request: web.BaseRequest, expected: type[FieldsT]) -> FieldsT:
        """The body, or the fault that was asked for."""
        raw = await read_body(request)
        fault = self._state.faults.faults.adapters
        if fault == "silent":
            await until_disconnected()
        if isinstance(fault, int):
            raise injected(fault)
        return read_fields(raw, request.headers.get("Content-Type", ""), expected)

    def _card(self, name: str, root: str, parent: str | None, context_tokens: int | None) -> ModelCard:
        created = int(self._state.started_unix_s)
        permission: dict[str, str | int | bool | None] = {
            "id": f"modelperm-{name}",
            "object": "model_permission",
            "created": created,
            "allow_create_engine": False,
            "allow_sampling": True,
            "allow_logprobs": True,
            "allow_search_indices": False,
            "allow_view": True,
            "allow_fine_tuning": False,
            "organization": "*",
            "group": None,
            "is_blocking": False,
        }
        return ModelCard(name, "model", created, "vllm", root, parent, context_tokens, (permission,))
