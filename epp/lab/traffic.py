"""Sample traffic: three models, two objectives, shared prompt beginnings, half of the answers streamed."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any

import aiohttp
import msgspec

from epp.lab.plan import ADAPTERS, BASE_MODEL

OBJECTIVE_HEADER = "x-gateway-inference-objective"
SERVED_BY_HEADER = "x-served-by"
REQUEST_ID_HEADER = "x-request-id"
REQUEST_TIMEOUT_S = 60.0
DOCUMENTS = 6
DOCUMENT_WORDS = 400
WORDS = ("pool", "pod", "token", "cache", "queue", "batch", "prompt", "adapter", "prefix", "block", "route", "gateway")


class SampleRequest(msgspec.Struct, frozen=True):
    """One request; `objective` is empty where the client names none."""

    request_id: str
    path: str
    body: dict[str, Any]
    objective: str = ""

    @property
    def model(self) -> str:
        """As the client writes it."""
        return str(self.body["model"])


class Answer(msgspec.Struct, frozen=True):
    """What a client saw; `status` is 0 when the answer was cut or never came."""

    request: SampleRequest
    status: int
    served_by: str
    """`ip:port` of the pod, from the pod itself"""
    duration_s: float
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        """Answered with 200 to its end."""
        return self.status == 200


def sample_requests(rng: Random, prefix: str = "up") -> Iterator[SampleRequest]:
    """Endless. Questions come in conversations about a few long documents, so that prefixes repeat."""
    documents = [" ".join(rng.choices(WORDS, k=DOCUMENT_WORDS)) for _ in range(DOCUMENTS)]
    models = (BASE_MODEL, *ADAPTERS)
    for number in itertools.count():
        model = models[number % len(models)]
        text = f"{rng.choice(documents)}\nQuestion {number}: what does it say about {rng.choice(WORDS)}?"
        body: dict[str, Any] = {"model": model, "max_tokens": rng.randint(8, 48), "temperature": "0"}
        if number % 2:
            body["stream"] = True
        if rng.random() < 0.5:
            body["prompt"] = text
            path = "/v1/completions"
        else:
            body["messages"] = [{"role": "user", "content": text}]
            path = "/v1/chat/completions"
        objective = "llama3-base-model" if model == BASE_MODEL else ""
        yield SampleRequest(f"{prefix}-{number:06d}", path, body, objective)


async def send(session: aiohttp.ClientSession, url: str, request: SampleRequest) -> Answer:
    """Sends one request and reads the answer to its end; never raises for what the other side does."""
    headers = {REQUEST_ID_HEADER: request.request_id}
    if request.objective:
        headers[OBJECTIVE_HEADER] = request.objective
    started = time.monotonic()
    try:
        async with session.post(url + request.path, json=request.body, headers=headers) as response:
            body = await response.read()
            served_by = response.headers.get(SERVED_BY_HEADER, "")
            problem = _problem(request, response.status, body)
            return Answer(
                request,
                0 if problem and response.status == 200 else response.status,
                served_by,
                time.monotonic() - started,
                problem,
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(request, 0, "", time.monotonic() - started, f"{type(error).__name__}: {error}")


def _problem(request: SampleRequest, status: int, body: bytes) -> str:
    if status != 200:
        return body[:300].decode("utf-8", "replace")
    if request.body.get("stream") and not body.rstrip().endswith(b"data: [DONE]"):
        return "the stream was cut"
    return ""


async def send_all(
    url: str, requests: Iterable[SampleRequest], concurrency: int, on_answer: Callable[[Answer], None]
) -> None:
    """Sends `requests` with at most `concurrency` under way and tells `on_answer` of each."""
    pending = iter(requests)

    async def client(session: aiohttp.ClientSession) -> None:
        for request in pending:
            on_answer(await send(session, url, request))

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(client(session))
