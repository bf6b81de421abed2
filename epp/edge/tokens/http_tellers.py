"""Tokenizers over HTTP: /tokenize of the pool's pods in turn, or a render service."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

import aiohttp
from yarl import URL

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock
from epp.core.domain.request import InferenceRequest
from epp.edge.tokens.breaker import CircuitBreaker
from epp.edge.tokens.questions import (
    TokensUnknown,
    Told,
    is_chat,
    is_multimodal,
    read_rendered,
    read_tokenized,
    render_body,
    tokenize_body,
)

MOST_ANSWER_BYTES = 32 << 20
_HEADERS = {"Content-Type": "application/json", "User-Agent": "endpoint-picker"}


class Teller(Protocol):
    """Somebody who can tell token ids."""

    def can_tell(self, request: InferenceRequest) -> bool:
        """Whether it is worth asking now."""
        ...

    def timeout_s(self, request: InferenceRequest) -> float:
        """How long the answer may take."""
        ...

    def question(self, request: InferenceRequest) -> bytes:
        """All that the answer depends on; raises TokensUnknown."""
        ...

    async def tell(self, request: InferenceRequest, question: bytes, deadline: float) -> Told:
        """Raises TokensUnknown, also when the loop's clock passes `deadline`."""
        ...

    async def close(self) -> None:
        """Gives connections up."""
        ...


class JsonPosts:
    """POSTs of JSON, on connections that are kept; opened with the first one, within its event loop."""

    def __init__(self, most_connections: int) -> None:
        self._most_connections = most_connections
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: URL, body: bytes) -> bytes:
        """The body of a 200; raises TokensUnknown."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._most_connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                trust_env=False,
            )
        try:
            async with self._session.post(url, data=body, allow_redirects=False) as response:
                answer = await _read(response.content, url)
                if response.status != 200:
                    told = answer[:200].decode("utf-8", "replace")
                    is_fault = not 400 <= response.status < 500 or response.status in (404, 405, 408, 429)
                    raise TokensUnknown(f"{url}: HTTP status {response.status}: {told}", is_fault=is_fault)
                return answer
        except (aiohttp.ClientError, OSError) as error:
            raise TokensUnknown(f"{url}: {str(error) or type(error).__name__}") from error

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(content: aiohttp.StreamReader, url: URL) -> bytes:
    parts, size_bytes = [], 0
    while part := await content.readany():
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MOST_ANSWER_BYTES:
            raise TokensUnknown(f"{url}: the answer is longer than {MOST_ANSWER_BYTES} bytes")
    return b"".join(parts)


async def _guarded(asking: Awaitable[Told], breaker: CircuitBreaker, deadline: float) -> Told:
    """Asks until the deadline and tells the breaker how it went; a question that is given up by its asker is neither a
    success nor a failure."""
    try:
        async with asyncio.timeout_at(deadline):
            told = await asking
    except TimeoutError as error:
        breaker.failed()
        raise TokensUnknown("no token ids in time") from error
    except TokensUnknown as error:
        (breaker.failed if error.is_fault else breaker.succeeded)()
        raise
    breaker.succeeded()
    return told


class _Pod:
    def __init__(self, url: URL, clock: Clock) -> None:
        self.url = url
        self.breaker = CircuitBreaker(clock)


class PodTokenizer:
    """Asks the pods of the pool one after the other; a pod that does not answer is passed over for a while."""

    def __init__(self, path: str, *, timeout_s: float, model: str, clock: Clock, most_connections: int) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._model = model
        self._clock = clock
        self._posts = JsonPosts(most_connections)
        self._pods: dict[str, _Pod] = {}
        self._turn = 0

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Who may be asked from now on."""
        self._pods = {
            endpoint.destination: self._pods.get(endpoint.destination)
            or _Pod(URL(f"http://{endpoint.destination}{self._path}"), self._clock)
            for endpoint in endpoints
        }

    def can_tell(self, request: InferenceRequest) -> bool:
        """/tokenize says nothing about images and the like, and without them blocks would be mistaken."""
        return any(pod.breaker.may_be_asked() for pod in self._pods.values()) and not is_multimodal(request)

    def timeout_s(self, request: InferenceRequest) -> float:  # noqa: ARG002  see Teller
        """The same for all."""
        return self._timeout_s

    def question(self, request: InferenceRequest) -> bytes:
        """See Teller."""
        return tokenize_body(request, self._model)

    async def tell(self, request: InferenceRequest, question: bytes, deadline: float) -> Told:  # noqa: ARG002
        """See Teller."""
        pod = self._next_pod()

        async def asking() -> Told:
            return read_tokenized(await self._posts.post(pod.url, question))

        return await _guarded(asking(), pod.breaker, deadline)

    async def close(self) -> None:
        """See Teller."""
        await self._posts.close()

    def _next_pod(self) -> _Pod:
        pods = [pod for pod in self._pods.values() if pod.breaker.may_be_asked()]
        if not pods:
            raise TokensUnknown("no pod can be asked", is_fault=False)
        self._turn += 1
        return pods[self._turn % len(pods)]


class RenderService:
    """A vLLM that renders prompts, images and the like included."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        multimodal_timeout_s: float,
        model: str,
        clock: Clock,
        most_connections: int,
    ) -> None:
        base = url.rstrip("/")
        self._completions = URL(f"{base}/v1/completions/render")
        self._chat = URL(f"{base}/v1/chat/completions/render")
        self._timeout_s = timeout_s
        self._multimodal_timeout_s = multimodal_timeout_s
        self._model = model
        self._breaker = CircuitBreaker(clock)
        self._posts = JsonPosts(most_connections)

    def can_tell(self, request: InferenceRequest) -> bool:  # noqa: ARG002  see Teller
        """Unless it has failed."""
        return self._breaker.may_be_asked()

    def timeout_s(self, request: InferenceRequest) -> float:
        """Images have to be fetched and cut into pieces."""
        return self._multimodal_timeout_s if is_multimodal(request) else self._timeout_s

    def question(self, request: InferenceRequest) -> bytes:
        """See Teller."""
        return render_body(request, self._model)

    async def tell(self, request: InferenceRequest, question: bytes, deadline: float) -> Told:
        """See Teller."""
        chat = is_chat(request)

        async def asking() -> Told:
            return read_rendered(await self._posts.post(self._chat if chat else self._completions, question), chat=chat)

        return await _guarded(asking(), self._breaker, deadline)

    async def close(self) -> None:
        """See Teller."""
        await self._posts.close()
