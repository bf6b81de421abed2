"""Asks a vLLM server over HTTP: is it healthy, what does it serve; tells it to load and unload adapters.

epp.core.domain.errors.PickerError
└── ModelServerError           no answer, or one that cannot be understood
    └── Refused                an answer other than 200; carries the server's own message
"""

import asyncio
from http import HTTPStatus
from typing import Protocol

import aiohttp
import msgspec

from epp.core.domain.errors import PickerError
from epp.edge.lora.configuration import Adapter, Target
from epp.edge.lora.plan import Served

MOST_ANSWER_BYTES = 8 << 20
LONGEST_MESSAGE = 500
ALREADY_LOADED = "already been loaded"
SWITCH_ON = "the server does not load adapters at run time: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=true"


class ModelServerError(PickerError):
    """The server could not be asked."""


class Refused(ModelServerError):
    """The server answered with an error."""

    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(url, status, message)
        self.url = url
        self.status = status
        self.message = message

    def __str__(self) -> str:
        answer = f"{self.url}: HTTP status {self.status}"
        return f"{answer}: {self.message}" if self.message else answer


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds for one request, from connecting to the last byte."""

    request_s: float
    load_s: float
    """a load may have to fetch the adapter first"""


class LoraApi(Protocol):
    """What the reconciler needs of a model server; everything raises ModelServerError."""

    async def check_health(self, target: Target) -> None:
        """Returns when the server is healthy."""
        ...

    async def served_models(self, target: Target) -> dict[str, Served]:
        """Base models and adapters by id."""
        ...

    async def load(self, target: Target, adapter: Adapter) -> bool:
        """Loads an adapter; False when the server has one of that name already, wherever it came from."""
        ...

    async def unload(self, target: Target, adapter_id: str) -> None:
        """Unloads an adapter, which may be gone already."""
        ...


class _Card(msgspec.Struct, frozen=True):
    """A model of /v1/models. vLLM names the base model of an adapter as its parent, and null for a base model."""

    id: str
    root: str | None = None
    parent: str | msgspec.UnsetType | None = msgspec.UNSET


class _Models(msgspec.Struct, frozen=True):
    data: tuple[_Card, ...]


class _Detail(msgspec.Struct, frozen=True):
    message: str = ""


class _Error(msgspec.Struct, frozen=True):
    """Newer versions have the message within `error`, older ones beside it."""

    error: _Detail = _Detail()
    message: str = ""
    detail: str = ""


class HttpModelServer:
    """A LoraApi over HTTP, a connection for each request; opened with the first one, within its event loop."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None

    async def check_health(self, target: Target) -> None:
        """GET /health, 200."""
        await self._ask("GET", f"{target.url}/health", self._timeouts.request_s)

    async def served_models(self, target: Target) -> dict[str, Served]:
        """GET /v1/models."""
        url = f"{target.url}/v1/models"
        answer = await self._ask("GET", url, self._timeouts.request_s)
        try:
            cards = msgspec.json.decode(answer, type=_Models).data
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelServerError(f"{url}: the answer is no list of models: {error}") from error
        return {card.id: Served(card.root, card.parent is None and card.root is not None) for card in cards}

    async def load(self, target: Target, adapter: Adapter) -> bool:
        """POST /v1/load_lora_adapter."""
        body = {"lora_name": adapter.id, "lora_path": adapter.source, "base_model_name": adapter.base_model}
        try:
            await self._change(f"{target.url}/v1/load_lora_adapter", body, self._timeouts.load_s)
        except Refused as error:
            if error.status == HTTPStatus.BAD_REQUEST and ALREADY_LOADED in error.message:
                return False
            raise
        return True

    async def unload(self, target: Target, adapter_id: str) -> None:
        """POST /v1/unload_lora_adapter."""
        url = f"{target.url}/v1/unload_lora_adapter"
        try:
            await self._change(url, {"lora_name": adapter_id}, self._timeouts.request_s)
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    async def _change(self, url: str, body: dict[str, str], timeout_s: float) -> None:
        try:
            await self._ask("POST", url, timeout_s, msgspec.json.encode(body))
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND and error.message == HTTPStatus.NOT_FOUND.phrase:
                raise ModelServerError(f"{error}; {SWITCH_ON}") from error
            raise

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, url: str, timeout_s: float, body: bytes | None = None) -> bytes:
        """The body of a 200."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "endpoint-picker"},
                trust_env=False,
            )
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                answer = await _read(response.content, url)
                if response.status != 200:
                    raise Refused(url, response.status, _message(answer))
                return answer
        except TimeoutError as error:
            raise ModelServerError(f"{url}: no answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ModelServerError(f"{url}: {str(error) or type(error).__name__}") from error


async def _read(content: aiohttp.StreamReader, url: str) -> bytes:
    parts, size_bytes = [], 0
    while part := await content.readany():
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MOST_ANSWER_BYTES:
            raise ModelServerError(f"{url}: the answer is longer than {MOST_ANSWER_BYTES} bytes")
    return b"".join(parts)


def _message(answer: bytes) -> str:
    """The server's own words, cut."""
    try:
        error = msgspec.json.decode(answer, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    else:
        message = error.error.message or error.message or error.detail
    return (message or answer.decode("utf-8", "replace").strip())[:LONGEST_MESSAGE]
