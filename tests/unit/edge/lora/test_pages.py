"""/metrics, /healthz and /readyz."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from epp.core.domain.errors import InvalidInput
from epp.edge.lora.metrics import SyncMetrics
from epp.edge.lora.pages import SyncPages

HOST = "127.0.0.1"


class Served:
    """Running pages."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.unready = "adapters are missing"
        self.pages = SyncPages(SyncMetrics(lambda: ""), lambda: self.unready, host=HOST, port=0)
        self._session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        async with self._session.get(f"http://{HOST}:{self.pages.port}{path}", headers=headers) as response:
            return response.status, response.content_type, await response.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with aiohttp.ClientSession() as session:
        served = Served(session)
        await served.pages.start()
        yield served
        await served.pages.stop()


async def test_health_is_open_from_the_start(served: Served) -> None:
    assert await served.get("/healthz") == (200, "text/plain", "ok\n")


async def test_readiness_has_a_reason(served: Served) -> None:
    assert await served.get("/readyz") == (503, "text/plain", "not ready: adapters are missing\n")
    served.unready = ""
    assert await served.get("/readyz") == (200, "text/plain", "ok\n")


async def test_metrics(served: Served) -> None:
    status, content_type, text = await served.get("/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert "epp_lora_sync_model_server_up 0.0\n" in text
    _, content_type, _ = await served.get("/metrics", Accept="application/openmetrics-text")
    assert content_type == "application/openmetrics-text"


async def test_there_is_nothing_else(served: Served) -> None:
    assert (await served.get("/debug"))[0] == 404


async def test_a_port_that_is_taken() -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        pages = SyncPages(SyncMetrics(lambda: ""), lambda: "", host=HOST, port=port)
        with pytest.raises(InvalidInput, match=rf"^--metrics-port: cannot listen on {HOST} port {port}: "):
            await pages.start()
        await pages.stop()
