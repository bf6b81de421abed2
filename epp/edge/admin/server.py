"""The admin server: GET pages on one port, JSON for errors, no access log.

/healthz and /readyz are open; /metrics and /debug/* are behind the gate.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from epp.core.domain.errors import InvalidInput
from epp.edge.admin.gates import Gate
from epp.edge.admin.index import INDEX
from epp.edge.admin.pages import AdminPages, Work

MOST_DECISIONS = 1_000
DEFAULT_DECISIONS = 20
STOP_WITHIN_S = 2.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminServer:
    """Serves `pages` until stopped; port 0 takes a free one, see `port`."""

    def __init__(
        self,
        pages: AdminPages,
        gate: Gate,
        *,
        host: str = "127.0.0.1",
        port: int = 9090,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Without `tls` plain HTTP."""
        self._pages = pages
        self._gate = gate
        self._host = host
        self._port = port
        self._tls = tls
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=STOP_WITHIN_S)

    @property
    def port(self) -> int:
        """The port that is listened on, known after `start`."""
        return self._port

    async def start(self) -> None:
        """Starts to listen; raises InvalidInput when the address or the port cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            problem = f"cannot listen on {self._host} port {self._port}: {error.strerror}"
            raise InvalidInput("--metrics-port", problem) from error
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening, lets running answers end for two seconds; may be called twice."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_json_errors])
        application.router.add_get("/", self._index)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._guarded(self._metrics))
        application.router.add_get("/debug/decisions", self._guarded(self._decisions))
        application.router.add_get("/debug/endpoints", self._guarded(self._endpoints))
        application.router.add_get("/debug/config", self._guarded(self._config))
        application.router.add_get("/debug/self-check", self._guarded(self._self_check))
        return application

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            denial = await self._gate.refusal(request.headers.get("Authorization", ""), request.path)
            if denial is not None:
                challenge = {"WWW-Authenticate": "Bearer"} if denial.status == HTTPStatus.UNAUTHORIZED else None
                return _error(denial.status, denial.message, challenge)
            return await handler(request)

        return guarded

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=INDEX, content_type="text/html")

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        readiness = self._pages.readiness()
        if readiness.is_ready:
            return web.Response(text="ok\n")
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {readiness.reason}")

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._pages.gather()
        # Prometheus sends one Accept header, others may send several.
        work = self._pages.metrics(", ".join(request.headers.getall("Accept", [])))
        content, content_type = await asyncio.to_thread(work)
        return web.Response(body=content, headers={"Content-Type": content_type})

    async def _decisions(self, request: web.Request) -> web.Response:
        given = request.query.get("limit", str(DEFAULT_DECISIONS))
        if not (given.isascii() and given.isdigit() and len(given) <= 4 and 1 <= int(given) <= MOST_DECISIONS):
            return _error(HTTPStatus.BAD_REQUEST, f"limit must be a number from 1 to {MOST_DECISIONS}, not {given!r}")
        work = self._pages.decisions(
            limit=int(given), request_id=request.query.get("request_id", ""), model=request.query.get("model", "")
        )
        return await _page(await work if isinstance(work, Awaitable) else work)

    async def _endpoints(self, _: web.Request) -> web.Response:
        return await _page(self._pages.endpoints())

    async def _config(self, _: web.Request) -> web.Response:
        return await _page(self._pages.config())

    async def _self_check(self, _: web.Request) -> web.Response:
        await self._pages.gather()
        return await _page(self._pages.self_check())


async def _page(work: Work) -> web.Response:
    content, content_type = await asyncio.to_thread(_rendered, work)
    return web.Response(body=content, content_type=content_type, charset="utf-8")


def _rendered(work: Work) -> tuple[bytes, str]:
    result = work()
    if isinstance(result, str):
        return result.encode("utf-8", "replace"), "text/plain"
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n", "application/json"


def _error(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"error": {"message": message, "type": status.phrase, "code": status.value}}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers)


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _error(HTTPStatus.NOT_FOUND, f"there is no page {request.path!r}; see / for those there are")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} answers {allowed} only", {"Allow": allowed})
