"""gRPC health (port 9003, always plaintext): Check, List and Watch.

`liveness` is SERVING while the process lives; `readiness`, ``, `envoy.service.ext_proc.v3.ExternalProcessor` and
`inference-extension` are SERVING when the picker may be asked. Other names are SERVICE_UNKNOWN.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from epp._pb.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse
from epp.edge.extproc.transport import SERVICE

LIVENESS = "liveness"
READINESS_NAMES = ("", "readiness", SERVICE, "inference-extension")


class Readiness:
    """Whether the picker may be asked; tells watchers when that changes."""

    def __init__(self) -> None:
        self.is_ready = False
        self.is_stopping = False
        self._changed = asyncio.Event()

    def set(self, *, ready: bool) -> None:
        """The new state; a stopping process never becomes ready again."""
        ready = ready and not self.is_stopping
        if ready != self.is_ready:
            self.is_ready = ready
            self._announce()

    def stop(self) -> None:
        """The process is shutting down."""
        self.is_stopping = True
        self.is_ready = False
        self._announce()

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change; take it before looking at the state, so that no change is lost in between."""
        return self._changed

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class HealthServer:
    """The health service on a port of its own."""

    def __init__(self, address: str, port: int, readiness: Readiness) -> None:
        self._address = address
        self._readiness = readiness
        self._server: grpc.aio.Server | None = None
        self.port = port

    async def start(self) -> None:
        """Binds and serves; raises RuntimeError when the address cannot be bound."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((health_handler(self._readiness),))
        self.port = self._server.add_insecure_port(f"{self._address}:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Stops at once; watchers are cancelled."""
        if self._server is not None:
            await self._server.stop(None)


def health_handler(readiness: Readiness) -> grpc.GenericRpcHandler:
    """The health service for a gRPC server."""

    def status(service: str) -> HealthCheckResponse.ServingStatus:
        if service == LIVENESS:
            return HealthCheckResponse.SERVING
        if service not in READINESS_NAMES:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if readiness.is_ready else HealthCheckResponse.NOT_SERVING

    async def check(request: HealthCheckRequest, _context: Any) -> HealthCheckResponse:
        return HealthCheckResponse(status=status(request.service))

    async def list_all(_request: HealthListRequest, _context: Any) -> HealthListResponse:
        names = (LIVENESS, *READINESS_NAMES)
        return HealthListResponse(statuses={name: HealthCheckResponse(status=status(name)) for name in names})

    async def watch(request: HealthCheckRequest, _context: Any) -> AsyncIterator[HealthCheckResponse]:
        last = None
        while True:
            changed = readiness.next_change
            now = status(request.service)
            if now != last:
                last = now
                yield HealthCheckResponse(status=now)
            await changed.wait()

    def methods(name: str, make: Callable[..., Any], behaviour: Any, request: Any) -> tuple[str, Any]:
        return name, make(behaviour, request.FromString, lambda response: response.SerializeToString())

    return grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health",
        dict(
            (
                methods("Check", grpc.unary_unary_rpc_method_handler, check, HealthCheckRequest),
                methods("List", grpc.unary_unary_rpc_method_handler, list_all, HealthListRequest),
                methods("Watch", grpc.unary_stream_rpc_method_handler, watch, HealthCheckRequest),
            )
        ),
    )
