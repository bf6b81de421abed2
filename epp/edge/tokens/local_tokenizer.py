"""A tokenizer.json of one's own, for plain prompts: the extra `tokenizers`, run in threads of its own.

Chat is not for it: what messages look like to the model is said by a template, which only a model server has.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from epp.core.domain.errors import InvalidInput
from epp.core.domain.request import InferenceRequest
from epp.edge.tokens.questions import TokensUnknown, Told, is_chat, plain_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

THREADS = 2
MOST_WAITING = 32


class LocalTokenizer:
    """Teller; raises InvalidInput when the file or the package is not there."""

    def __init__(self, path: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._tokenizer = _load(path)
        self._threads = ThreadPoolExecutor(THREADS, "tokenizer")
        self._waiting = 0

    def can_tell(self, request: InferenceRequest) -> bool:
        """Plain prompts only."""
        return not is_chat(request) and self._waiting < MOST_WAITING

    def timeout_s(self, request: InferenceRequest) -> float:  # noqa: ARG002  see Teller
        """The same for all."""
        return self._timeout_s

    def question(self, request: InferenceRequest) -> bytes:
        """See Teller."""
        return plain_text(request).encode("utf-8", "surrogatepass")

    async def tell(self, request: InferenceRequest, question: bytes, deadline: float) -> Told:  # noqa: ARG002
        """See Teller; what was begun is finished even if nobody waits for it any more."""
        loop = asyncio.get_running_loop()
        self._waiting += 1
        future = self._threads.submit(self._encode, question)
        future.add_done_callback(lambda _: self._count_down(loop))
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise TokensUnknown("no token ids in time") from error

    async def close(self) -> None:
        """See Teller."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _count_down(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._one_less)

    def _one_less(self) -> None:
        self._waiting -= 1

    def _encode(self, text: bytes) -> Told:
        try:
            encoded = self._tokenizer.encode(text.decode("utf-8"))
        except Exception as error:  # the package raises plain exceptions
            raise TokensUnknown(f"the tokenizer refuses a text: {error}", is_fault=False) from error
        return Told(np.array(encoded.ids, dtype="<u4").tobytes())


def _load(path: str) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        raise InvalidInput(path, "the package 'tokenizers' is not installed; it is the extra of that name") from error
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # the package raises plain exceptions
        raise InvalidInput(path, f"no tokenizer can be read from it: {error}") from error
