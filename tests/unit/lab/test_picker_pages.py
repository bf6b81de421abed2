"""PickerPages reads what the picker's own pages say."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from epp.core.domain.errors import ResourceExhausted
from epp.core.domain.request import InferenceRequest
from epp.edge.admin.gates import Gate, OpenGate, TokenFileGate
from epp.edge.admin.pages import AdminPages, Readiness
from epp.edge.admin.server import AdminServer
from epp.edge.observe.decisions import DecisionLog
from epp.lab.picker_pages import PickerPages
from tests.support.routed_requests import endpoint
from tests.support.watched_pool import WatchedPool


class Signals:
    """The picker's pages over a pool and a log of decisions."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.pool = WatchedPool()
        self.unready_reason = ""
        self.decisions = DecisionLog(lambda: 0.0)
        pages = AdminPages(
            metrics=self.pool.catalogue.prepare,
            readiness=lambda: Readiness(not self.unready_reason, self.unready_reason),
            decisions=self.decisions.prepare,
            endpoints=lambda: self.pool.reader.read().rows,
            config=lambda: lambda: "",
            self_check=lambda: list,
        )
        self.server = AdminServer(pages, gate or OpenGate(), port=0)


@asynccontextmanager
async def reading(signals: Signals, token: str = "") -> AsyncIterator[PickerPages]:
    await signals.server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield PickerPages(session, f"http://127.0.0.1:{signals.server.port}", token)
    finally:
        await signals.server.stop()


async def test_endpoints() -> None:
    signals = Signals()
    signals.pool.contains(endpoint(0), endpoint(1))
    signals.pool.scraped(endpoint(0), waiting=3, kv_usage=0.5)
    async with reading(signals) as pages:
        first, second = await pages.endpoints()
    assert (first.destination, first.waiting, first.kv_usage, first.stale) == ("10.0.0.1:8000", 3, 0.5, False)
    assert (second.destination, second.metrics_age_s, second.stale) == ("10.0.0.2:8000", None, True)


async def test_decisions_the_newest_first() -> None:
    signals = Signals()
    for name in ("r-1", "r-2", "r-3"):
        signals.decisions.request_refused(InferenceRequest(name), ResourceExhausted("full"))
    async with reading(signals) as pages:
        assert [found.request_id for found in await pages.decisions()] == ["r-3", "r-2", "r-1"]
        (last,) = await pages.decisions(1)
    assert last.refusal is not None
    assert (last.refusal.code, last.picked) == ("ResourceExhausted", None)


async def test_a_metric_is_the_sum_of_its_series() -> None:
    signals = Signals()
    signals.pool.contains(endpoint(0), endpoint(1))
    signals.pool.busy(endpoint(0), 2)
    signals.pool.busy(endpoint(1), 3)
    async with reading(signals) as pages:
        assert await pages.metric("epp_reservations_open") == 5
        assert await pages.metric("epp_in_flight_requests") == 5
        assert await pages.metric("epp_in_flight") == 0, "the beginning of a name is no name"
        assert await pages.metric("no_such_metric") == 0


async def test_guarded_pages_are_read_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sesame")
    async with reading(Signals(TokenFileGate(tmp_path / "token", print)), "sesame") as pages:
        assert await pages.endpoints() == []
    async with reading(Signals(TokenFileGate(tmp_path / "token", print))) as pages:
        with pytest.raises(aiohttp.ClientResponseError, match="401"):
            await pages.endpoints()


async def test_a_picker_says_why_it_is_not_ready() -> None:
    signals = Signals()
    async with reading(signals) as pages:
        assert await pages.unready_reason() == ""
        signals.unready_reason = "a standby: another leads"
        assert await pages.unready_reason() == "not ready: a standby: another leads"


async def test_a_picker_that_is_down_or_refuses_raises() -> None:
    signals = Signals()
    async with reading(signals) as pages:
        with pytest.raises(aiohttp.ClientResponseError):
            await pages.decisions(0)
        await signals.server.stop()
        with pytest.raises(aiohttp.ClientError):
            await pages.endpoints()
