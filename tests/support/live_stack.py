"""The whole local stack for tests: fake pods, the real picker, a real Envoy, and what each of them saw.

    async with live_stack(StackPlan(pods=2)) as stack:
        answer = await stack.complete("hello")
        assert answer.served_by == (await stack.decision(answer.request_id)).picked.destination

`assert_clean` is due after every test with a live picker: fail-open would hide a broken one.
"""

import asyncio
import io
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from epp.edge.observe.explained import ExplainedDecision
from epp.edge.observe.pool_reading import EndpointReading
from epp.lab.envoy_parts import Config
from epp.lab.fake_vllm.debug_api import Echo
from epp.lab.picker_pages import PickerPages
from epp.lab.plan import ADAPTERS, StackPlan
from epp.lab.stack import LocalStack, unchanged
from epp.lab.verdict import ext_proc_counters

JSON = {"content-type": "application/json"}
WITHIN_S = 10.0


class Reply(msgspec.Struct, frozen=True):
    """An answer as the client got it."""

    request_id: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def served_by(self) -> str:
        """`ip:port` of the pod."""
        return self.headers.get("x-served-by", "")

    @property
    def error(self) -> dict[str, Any]:
        """The `error` object of an OpenAI-style error."""
        found: dict[str, Any] = msgspec.json.decode(self.body)["error"]
        return found

    @property
    def echo(self) -> Echo:
        """What arrived at the pod's echo."""
        return msgspec.json.decode(self.body, type=Echo)


class LiveStack:
    """A running LocalStack with a client session."""

    def __init__(self, stack: LocalStack, session: aiohttp.ClientSession) -> None:
        self.local = stack
        self.session = session
        self.pages = stack.picker.pages(session)
        self._numbers = itertools.count(1)
        self._counters = dict.fromkeys(ext_proc_counters({}), 0)

    async def post(self, path: str, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        """One request with an id of its own."""
        request_id = f"test-{next(self._numbers)}"
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {**JSON, "x-request-id": request_id, **(headers or {})}
        async with self.session.post(self.local.url + path, data=io.BytesIO(data), headers=sent) as response:
            received = {name.lower(): value for name, value in response.headers.items()}
            return Reply(request_id, response.status, received, await response.read())

    async def complete(self, prompt: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
        """POST /v1/completions."""
        body = {"model": ADAPTERS[0], "prompt": prompt, "max_tokens": 4, **fields}
        return await self.post("/v1/completions", body, headers)

    async def echo(self, body: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Reply:
        """A completions request that a pod echoes instead of answering it."""
        return await self.post("/debug/echo/v1/completions", body, headers)

    async def decision(self, request_id: str) -> ExplainedDecision:
        """The picker's record of one request."""
        return next(found for found in await self.pages.decisions() if found.request_id == request_id)

    async def endpoints(self) -> dict[str, EndpointReading]:
        """By destination."""
        return {endpoint.destination: endpoint for endpoint in await self.pages.endpoints()}

    async def inject(self, destination: str, **faults: Any) -> None:
        """Faults of one pod; none clears them."""
        async with self.session.post(f"http://{destination}/debug/faults", json=faults) as response:
            assert response.status == 200, await response.text()

    async def until(self, condition: Callable[[], Awaitable[object]], what: str, *, within_s: float = WITHIN_S) -> None:
        """Waits until the awaited condition is true; AssertionError after `within_s`."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, f"not within {within_s:g} s: {what}"
            await asyncio.sleep(0.02)

    async def until_endpoints(self, count: int) -> None:
        """Waits until every picker and Envoy know exactly `count` endpoints and all have been scraped."""

        async def known() -> bool:
            endpoints = [await picker.pages(self.session).endpoints() for picker in self.local.pickers]
            clusters = [cluster for cluster in await self.local.envoy.clusters() if cluster.name == "pool"]
            in_envoy = sum(len(cluster.hosts) for cluster in clusters)
            is_scraped = not any(endpoint.stale for found in endpoints for endpoint in found)
            return {in_envoy, *map(len, endpoints)} == {count} and is_scraped

        await self.until(known, f"{count} endpoints")

    async def until_idle(self, pages: PickerPages | None = None) -> None:
        """Waits until nothing of ours is in flight, at the first picker or the one with these pages."""

        async def idle() -> bool:
            return await (pages or self.pages).metric("epp_reservations_open") == 0

        await self.until(idle, "no reservation open")

    async def faults(self) -> dict[str, int]:
        """What Envoy's ext_proc counters gained since the last call."""
        now = ext_proc_counters(await self.local.envoy.stats("ext_proc"))
        gained = {name: now[name] - self._counters[name] for name in now}
        self._counters = now
        return gained

    async def assert_clean(self) -> None:
        """Nothing leaked, nothing bypassed, no conversation failed."""
        await self.assert_nothing_held(self.pages)
        assert not any((await self.faults()).values())

    async def assert_nothing_held(self, pages: PickerPages) -> None:
        """The books of the picker with these pages come to nothing."""
        await self.until_idle(pages)
        for endpoint in await pages.endpoints():
            assert endpoint.in_flight == 0
            assert endpoint.in_flight_tokens == 0

        async def has_let_go() -> bool:  # a stream ends a moment after the place that it held
            return not (await pages.metric("epp_streams_open") or await pages.metric("epp_buffered_bytes"))

        await self.until(has_let_go, "no stream open, no byte held")


_STACKS = itertools.count()


def own_network() -> str:
    """Loopback addresses that no other stack of this or another test process uses."""
    process = os.getpid()
    return f"127.{20 + process % 200}.{(process // 200 + 10 * next(_STACKS)) % 250}"


@asynccontextmanager
async def live_stack(plan: StackPlan, edit_envoy: Callable[[Config], Config] = unchanged) -> AsyncIterator[LiveStack]:
    """Starts everything, ends everything; on a network of its own unless the plan names one.

    `edit_envoy` has the last word on Envoy's configuration.
    """
    if plan.network == StackPlan().network:
        plan = msgspec.structs.replace(plan, network=own_network())
    async with (
        LocalStack(plan, edit_envoy=edit_envoy) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        live = LiveStack(stack, session)
        await live.until_endpoints(plan.pods)
        yield live
