"""/debug: injected faults, the journal of served requests, and an echo of the request as it arrived."""

import hashlib

import msgspec
from aiohttp import web

from epp.lab.fake_vllm.faults import read_faults
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies, read_body


class Echo(msgspec.Struct, frozen=True):
    """A request as it arrived: `path` with its query, `headers` in order with their spelling."""

    method: str
    path: str
    http_version: str
    headers: list[tuple[str, str]]
    body_bytes: int
    body_sha256: str


class DebugApi:
    """The endpoints that vLLM does not have."""

    def __init__(self, state: PodState, replies: Replies) -> None:
        self._state = state
        self._replies = replies

    async def show_faults(self, request: web.BaseRequest) -> web.StreamResponse:
        """The faults in force."""
        return self._replies.json(request, msgspec.json.encode(self._state.faults.faults))

    async def replace_faults(self, request: web.BaseRequest) -> web.StreamResponse:
        """Puts other faults in force and shows them. Raises ApiError (400) for faults that cannot be."""
        self._state.faults.replace(read_faults(await read_body(request)))
        return await self.show_faults(request)

    async def list_requests(self, request: web.BaseRequest) -> web.StreamResponse:
        """The last requests served, oldest first: {"requests": [...]}."""
        return self._replies.json(request, msgspec.json.encode({"requests": self._state.journal.all()}))

    async def echo(self, request: web.BaseRequest) -> web.StreamResponse:
        """Tells the request back."""
        body = await read_body(request)
        echo = Echo(
            method=request.method,
            path=request.raw_path,
            http_version=f"{request.version.major}.{request.version.minor}",
            headers=[
                (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
                for name, value in request.raw_headers
            ],
            body_bytes=len(body),
            body_sha256=hashlib.sha256(body).hexdigest(),
        )
        return self._replies.json(request, msgspec.json.encode(echo))
