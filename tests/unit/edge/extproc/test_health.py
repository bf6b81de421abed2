"""gRPC health: Check, List and Watch, as load balancers and Kubernetes ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from epp._pb.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse
from epp.edge.extproc.health import Readiness, health_methods
from epp.edge.extproc.transport import Transport
from tests.support.eventually import eventually
from tests.support.lost_errors import no_lost_errors
from tests.support.transports import KINDS, make_transport

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("kind", KINDS)]

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN
READINESS = ["", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor", "inference-extension"]


class HealthClient:
    """Asks as grpc_health_probe does."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])

    async def check(self, service: str) -> int:
        call = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        return (await call(HealthCheckRequest(service=service))).status

    async def list(self) -> dict[str, int]:
        call = self.channel.unary_unary(
            "/grpc.health.v1.Health/List",
            request_serializer=HealthListRequest.SerializeToString,
            response_deserializer=HealthListResponse.FromString,
        )
        return {name: entry.status for name, entry in (await call(HealthListRequest())).statuses.items()}

    def watch(self, service: str) -> "Watch":
        call = self.channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        return Watch(call(HealthCheckRequest(service=service)))


class Watch:
    """One watcher."""

    def __init__(self, call: "grpc.aio.UnaryStreamCall[Any, HealthCheckResponse]") -> None:
        self.call = call

    async def next(self) -> int:
        async with asyncio.timeout(5.0):
            message = await self.call.read()
        assert isinstance(message, HealthCheckResponse), "the watch is over"
        return message.status


@asynccontextmanager
async def serving(kind: str) -> AsyncIterator[tuple[Readiness, HealthClient, Transport]]:
    readiness = Readiness()
    server = make_transport(kind, health_methods(readiness))
    with no_lost_errors():
        await server.start()
        client = HealthClient(server.port)
        try:
            yield readiness, client, server
        finally:
            await client.channel.close()
            await server.drain(0.0)


async def test_check_before_and_after_the_picker_is_ready(kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        assert await client.check("liveness") == SERVING
        assert [await client.check(name) for name in READINESS] == [NOT_SERVING] * 4
        readiness.set(ready=True)
        assert [await client.check(name) for name in READINESS] == [SERVING] * 4
        readiness.set(ready=False)
        assert [await client.check(name) for name in READINESS] == [NOT_SERVING] * 4
        assert await client.check("liveness") == SERVING


@pytest.mark.parametrize("name", ["other", "Liveness", "readiness ", "envoy"])
async def test_an_unknown_service_is_unknown_and_not_an_error(name: str, kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        readiness.set(ready=True)
        assert await client.check(name) == SERVICE_UNKNOWN


async def test_list_names_them_all(kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        assert await client.list() == {"liveness": SERVING, **dict.fromkeys(READINESS, NOT_SERVING)}
        readiness.set(ready=True)
        assert await client.list() == dict.fromkeys(["liveness", *READINESS], SERVING)


async def test_a_stopping_process_is_alive_but_never_ready_again(kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        readiness.set(ready=True)
        readiness.stop()
        assert await client.check("readiness") == NOT_SERVING
        readiness.set(ready=True)
        assert await client.check("readiness") == NOT_SERVING
        assert await client.check("liveness") == SERVING


@pytest.mark.parametrize("name", READINESS)
async def test_watch_tells_every_change_once(name: str, kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        watch = client.watch(name)
        assert await watch.next() == NOT_SERVING
        readiness.set(ready=False)
        readiness.set(ready=True)
        assert await watch.next() == SERVING
        readiness.set(ready=True)
        readiness.stop()
        assert await watch.next() == NOT_SERVING


async def test_watch_of_an_unknown_service_stays_open(kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        watch = client.watch("other")
        assert await watch.next() == SERVICE_UNKNOWN
        readiness.set(ready=True)
        known = client.watch("")
        assert await known.next() == SERVING
        assert not watch.call.done()


async def test_a_watcher_that_goes_is_forgotten(kind: str) -> None:
    async with serving(kind) as (readiness, client, _):
        watch = client.watch("")
        await watch.next()
        assert len(readiness._watchers) == 1
        watch.call.cancel()
        await eventually(lambda: not readiness._watchers)
        readiness.set(ready=True)


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_what_is_no_question_is_an_error(method: str, kind: str) -> None:
    async with serving(kind) as (_, client, _):
        call: Any = client.channel.unary_unary(f"/grpc.health.v1.Health/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"\xff")
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await client.check("liveness") == SERVING


async def test_stopping_ends_the_watchers(kind: str) -> None:
    async with serving(kind) as (_, client, server):
        watch = client.watch("")
        await watch.next()
        await server.drain(0.0)
        async with asyncio.timeout(5.0):
            assert await watch.call.code() is not grpc.StatusCode.OK


async def test_a_port_in_use_is_an_error(kind: str) -> None:
    async with serving(kind) as (readiness, _, server):
        with pytest.raises(RuntimeError):
            await make_transport(kind, health_methods(readiness), port=server.port).start()


async def test_a_server_that_was_never_started_can_be_stopped(kind: str) -> None:
    await make_transport(kind, health_methods(Readiness())).drain(0.0)
