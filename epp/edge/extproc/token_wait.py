"""A request that waits for its token ids before it is routed."""

import asyncio
from collections.abc import Callable

from epp.core.domain.ports import TokenSource
from epp.core.domain.request import InferenceRequest


class TokenWait:
    """Asks once; `answered` gets the request, whether or not its tokens were told, unless it was withdrawn before."""

    def __init__(
        self,
        source: TokenSource,
        request: InferenceRequest,
        answered: Callable[[InferenceRequest], None],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._answered = answered
        self._on_fault = on_fault
        self._task = asyncio.get_running_loop().create_task(self._ask(source, request))

    def withdraw(self) -> None:
        """The client has gone, or the server goes: nobody waits any more."""
        self._task.cancel()

    async def _ask(self, source: TokenSource, request: InferenceRequest) -> None:
        try:
            request = await source.with_tokens(request)
        except Exception as error:  # noqa: BLE001  it promises not to, and the request must not wait for ever
            self._on_fault(error)
        self._answered(request)
