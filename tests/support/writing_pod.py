"""A model server of a live stack that writes what a test tells it to, byte by byte if need be.

    async with writing_pod(stack) as pod:
        pod.answer = Written(b'{"model":"x"}', content_type="application/json")

It takes the place of the fake pods; they come back at the end.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.plan import FIRST_HOST
from epp.lab.pool_files import pod_manifest, write_manifests
from tests.support.live_stack import LiveStack

METRICS = "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n"


class Written(msgspec.Struct, frozen=True):
    """An answer; with `then` it comes in two parts, the second one when `release` is set."""

    body: bytes
    then: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    declares_length: bool = True


class WritingPod:
    """`received` are the bodies of the requests."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.answer = Written(b"{}")
        self.release = asyncio.Event()
        self.received: list[bytes] = []

    @property
    def last_request(self) -> dict[str, Any]:
        """The last body as JSON."""
        found: dict[str, Any] = json.loads(self.received[-1])
        return found

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Every path."""
        if request.path == "/metrics":
            return web.Response(text=METRICS)
        self.received.append(await request.read())
        answer = self.answer
        headers = {**answer.headers, "content-type": answer.content_type, "x-served-by": f"{self.host}:{self.port}"}
        response = web.StreamResponse(headers=headers)
        if answer.declares_length and answer.then is None:
            response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body)
        if answer.then is not None:
            await self.release.wait()
            await response.write(answer.then)
        await response.write_eof()
        return response


@asynccontextmanager
async def writing_pod(stack: LiveStack) -> AsyncIterator[WritingPod]:
    """The only pod of the stack for a while."""
    plan, fakes = stack.local.plan, stack.local.pods
    pod = WritingPod(f"{plan.network}.{FIRST_HOST + plan.pods}", fakes[0].port)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", pod.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, pod.host, pod.port).start()
    pods = stack.local.objects / "pods.yaml"
    write_manifests(pods, [pod_manifest(ReadyPod("writing", pod.host, pod.port))])
    try:
        await stack.until_endpoints(1)
        yield pod
    finally:
        write_manifests(pods, [pod_manifest(each) for each in fakes])
        await stack.until_endpoints(len(fakes))
        await runner.cleanup()
