"""Sample traffic: what is asked, and what becomes of each answer."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import aiohttp
from aiohttp import web

from epp.lab.plan import ADAPTERS, BASE_MODEL
from epp.lab.traffic import Answer, SampleRequest, sample_requests, send, send_all

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PLAIN = SampleRequest("r-1", "/v1/completions", {"model": "m", "prompt": "p"}, objective="premium")
STREAMED = SampleRequest("r-2", "/v1/completions", {"model": "m", "prompt": "p", "stream": True})


def some(count: int, seed: int = 1) -> list[SampleRequest]:
    return list(itertools.islice(sample_requests(Random(seed)), count))


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """Its URL."""
    application = web.Application()
    application.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def answer_to(request: SampleRequest, handler: Handler) -> Answer:
    async with server(handler) as url, aiohttp.ClientSession() as session:
        return await send(session, url, request)


def test_the_same_seed_gives_the_same_requests_with_ids_of_their_own() -> None:
    assert some(50) == some(50)
    assert some(50) != some(50, seed=2)
    assert len({request.request_id for request in some(50)}) == 50
    assert next(sample_requests(Random(1), "mine")).request_id == "mine-000000"


def test_models_paths_and_streaming_are_mixed() -> None:
    requests = some(300)
    assert Counter(request.model for request in requests) == dict.fromkeys((BASE_MODEL, *ADAPTERS), 100)
    assert sum("stream" in request.body for request in requests) == 150
    assert {
        model for model in (BASE_MODEL, *ADAPTERS) for r in requests if r.model == model and "stream" in r.body
    } == {
        BASE_MODEL,
        *ADAPTERS,
    }
    for path, field in (("/v1/completions", "prompt"), ("/v1/chat/completions", "messages")):
        assert 100 < sum(request.path == path and field in request.body for request in requests) < 200


def test_only_the_base_model_names_its_objective() -> None:
    for request in some(30):
        assert bool(request.objective) == (request.model == BASE_MODEL)


def test_prompts_begin_alike_so_that_prefixes_are_found_again() -> None:
    prompts = [str(request.body["prompt"]) for request in some(200) if "prompt" in request.body]
    beginnings = Counter(prompt[:1000] for prompt in prompts)
    assert 1 < len(beginnings) <= 6
    assert len(set(prompts)) == len(prompts)


async def test_a_good_answer_names_its_pod_and_the_request_its_objective() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["x-request-id"] == "r-1"
        assert request.headers["x-gateway-inference-objective"] == "premium"
        assert await request.json() == PLAIN.body
        return web.json_response({}, headers={"x-served-by": "127.0.0.11:8000"})

    found = await answer_to(PLAIN, answer)
    assert (found.status, found.served_by, found.problem, found.is_ok) == (200, "127.0.0.11:8000", "", True)
    assert found.duration_s > 0


async def test_a_refusal_keeps_its_status_and_text() -> None:
    async def refuse(request: web.Request) -> web.Response:
        assert "x-gateway-inference-objective" not in request.headers
        return web.Response(status=429, text="try later")

    found = await answer_to(STREAMED, refuse)
    assert (found.status, found.problem, found.is_ok) == (429, "try later", False)


async def test_a_stream_counts_only_when_it_comes_to_its_end() -> None:
    async def whole(_: web.Request) -> web.Response:
        return web.Response(text="data: {}\n\ndata: [DONE]\n\n", headers={"x-served-by": "pod"})

    async def short(_: web.Request) -> web.Response:
        return web.Response(text="data: {}\n\n", headers={"x-served-by": "pod"})

    assert (await answer_to(STREAMED, whole)).is_ok
    found = await answer_to(STREAMED, short)
    assert (found.status, found.problem, found.served_by) == (0, "the stream was cut", "pod")


async def test_a_connection_that_breaks_is_an_answer_too() -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    found = await answer_to(PLAIN, cut)
    assert (found.status, found.served_by) == (0, "")
    assert found.problem.startswith("ServerDisconnectedError")


async def test_all_are_sent_once_with_no_more_than_so_many_at_a_time() -> None:
    here = most = 0

    async def count(_: web.Request) -> web.Response:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await asyncio.sleep(0)
        here -= 1
        return web.Response()

    answers: list[Answer] = []
    requests = some(40)
    async with server(count) as url:
        await send_all(url, requests, 5, answers.append)
    assert sorted(answer.request.request_id for answer in answers) == [request.request_id for request in requests]
    assert 1 < most <= 5
