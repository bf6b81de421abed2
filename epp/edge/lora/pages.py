"""The syncer's pages: /metrics, /healthz, /readyz."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from epp.core.domain.errors import InvalidInput
from epp.edge.lora.metrics import SyncMetrics

STOP_WITHIN_S = 0.5


class SyncPages:
    """Serves until stopped; port 0 takes a free one, see `port`."""

    def __init__(self, metrics: SyncMetrics, unready: Callable[[], str], *, host: str, port: int) -> None:
        """`unready` says why the syncer is not ready, with an empty text when it is."""
        self._metrics = metrics
        self._unready = unready
        self._host = host
        self.port = port
        """that is listened on, once `start` has ended"""
        application = web.Application()
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_WITHIN_S)

    async def start(self) -> None:
        """Starts to listen; raises InvalidInput when the address or the port cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            problem = f"cannot listen on {self._host} port {self.port}: {error.strerror}"
            raise InvalidInput("--metrics-port", problem) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stops listening; may be called twice."""
        await self._runner.cleanup()

    async def _show_metrics(self, request: web.Request) -> web.Response:
        content, content_type = self._metrics.page(", ".join(request.headers.getall("Accept", [])))
        return web.Response(body=content, headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._unready()
        if not reason:
            return web.Response(text="ok\n")
        return web.Response(text=f"not ready: {reason}\n", status=HTTPStatus.SERVICE_UNAVAILABLE.value)
