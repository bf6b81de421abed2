"""Answers over HTTP: every one names the pod that gave it."""

import asyncio

from aiohttp import web

from epp.lab.fake_vllm.errors import ApiError

_WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104 -- compared with, never bound to


class Replies:
    """Builds responses with the headers `x-fake-pod` and `x-served-by`, and the request's own `x-request-id`."""

    def __init__(self, pod_name: str, host: str, port: int) -> None:
        self._headers = {"Server": "uvicorn", "x-fake-pod": pod_name}
        self._served_by = None if host in _WILDCARDS else _address(host, port)

    def headers(self, request: web.BaseRequest, content_type: str) -> dict[str, str]:
        """Headers of an answer to `request`."""
        headers = {**self._headers, "x-served-by": self._served_by or _local_address(request)}
        if content_type:
            headers["Content-Type"] = content_type
        request_id = request.headers.get("x-request-id")
        if request_id is not None:
            headers["x-request-id"] = request_id
        return headers

    def plain(
        self, request: web.BaseRequest, body: bytes, content_type: str = "text/plain; charset=utf-8", status: int = 200
    ) -> web.Response:
        """A complete answer of any type."""
        return web.Response(body=body, status=status, headers=self.headers(request, content_type))

    def json(self, request: web.BaseRequest, body: bytes, status: int = 200) -> web.Response:
        """An answer whose body is JSON already."""
        return self.plain(request, body, "application/json", status)

    def error(self, request: web.BaseRequest, error: ApiError) -> web.Response:
        """An error answer."""
        return self.json(request, error.body(), error.status)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body; a client that waits for `100 Continue` is told to go on."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await request.read()


def reset_connection(request: web.BaseRequest) -> None:
    """Resets the connection under a request, as a dying process would."""
    if request.transport is not None:
        request.transport.abort()


async def until_disconnected() -> None:
    """Never returns: aiohttp cancels the handler when the connection is gone."""
    await asyncio.get_running_loop().create_future()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _local_address(request: web.BaseRequest) -> str:
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    return _address(name[0], name[1]) if name else "unknown"
