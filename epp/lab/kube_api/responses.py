"""Answers over HTTP: JSON with a status, headers, and the cuts that a fault wants."""

from collections.abc import Iterable, Mapping

import msgspec
from aiohttp import web

from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.status import ApiError

JSON_TYPE = "application/json"


class ConnectionCut(Exception):
    """The connection was cut on purpose; there is no answer."""


def cut(request: web.BaseRequest) -> ConnectionCut:
    """Resets the connection; returns the exception to raise."""
    if request.transport is not None:
        request.transport.abort()
    return ConnectionCut()


def answer(
    body: bytes,
    status: int = 200,
    *,
    content_type: str = JSON_TYPE,
    warnings: Iterable[str] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A whole answer. Warnings become Warning headers."""
    response = web.Response(body=body, status=status, headers={**(headers or {}), "Cache-Control": "no-cache, private"})
    response.headers["Content-Type"] = content_type
    for warning in dict.fromkeys(warnings):
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def refused(error: ApiError) -> web.Response:
    """A Status object with its code."""
    return answer(msgspec.json.encode(error.status()), error.code, headers=error.headers)


async def send(request: web.BaseRequest, response: web.Response, fault: Fault | None) -> web.StreamResponse:
    """Sends an answer, or the part of it that a fault lets through; raises ConnectionCut."""
    if fault is None or fault.cut_after_bytes is None:
        return response
    body = response.body
    if not isinstance(body, bytes) or fault.cut_after_bytes >= len(body):
        return response
    part = web.StreamResponse(status=response.status, headers={"Content-Type": response.headers["Content-Type"]})
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: fault.cut_after_bytes])
    raise cut(request)
