"""The token service: asks a teller, with a deadline, never too many at once, and remembers what it was told."""

import asyncio
from collections.abc import Callable

import xxhash

from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest
from epp.edge.tokens.cache import TokenCache
from epp.edge.tokens.http_tellers import Teller
from epp.edge.tokens.questions import TokensUnknown, is_text

WAITING_PER_PLACE = 4
"""questions that wait for one that may be under way; beyond that nobody waits"""


class TokenService:
    """TokenSource of the process."""

    def __init__(
        self,
        teller: Teller,
        *,
        is_useful: Callable[[], bool],
        on_problem: Callable[[str], None],
        most_at_once: int,
        cache_bytes: int,
    ) -> None:
        """`is_useful` says whether anybody has a use for token ids now."""
        self._teller = teller
        self._is_useful = is_useful
        self._on_problem = on_problem
        self._places = asyncio.Semaphore(most_at_once)
        self._most_asking = most_at_once * (1 + WAITING_PER_PLACE)
        self._asking = 0
        self._cache = TokenCache(cache_bytes)

    def wants(self, request: InferenceRequest) -> bool:
        """See TokenSource."""
        return (
            is_text(request)
            and self._is_useful()
            and self._asking < self._most_asking
            and self._teller.can_tell(request)
        )

    async def with_tokens(self, request: InferenceRequest) -> InferenceRequest:
        """See TokenSource."""
        self._asking += 1
        try:
            return await self._told(request)
        except TokensUnknown as error:
            self._on_problem(str(error))
        except TimeoutError:
            self._on_problem("too many questions are under way")
        except Exception as error:  # noqa: BLE001  a fault of ours here must not cost the request
            self._on_problem(f"{type(error).__name__}: {error}")
        finally:
            self._asking -= 1
        return request

    async def close(self) -> None:
        """Gives connections up."""
        await self._teller.close()

    async def _told(self, request: InferenceRequest) -> InferenceRequest:
        question = self._teller.question(request)
        key = xxhash.xxh3_128_digest(request.path.encode("utf-8", "surrogatepass") + b"\0" + question)
        told = self._cache.get(key)
        if told is None:
            deadline = asyncio.get_running_loop().time() + self._teller.timeout_s(request)
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
            try:
                told = await self._teller.tell(request, question, deadline)
            finally:
                self._places.release()
            self._cache.put(key, told)
        return replaced(request, prompt_tokens=told.token_ids, multimodal=told.multimodal)
