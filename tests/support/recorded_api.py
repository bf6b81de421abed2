"""An API server that answers what a test tells it to, and keeps what it was asked."""

from collections.abc import Callable
from typing import Any, cast

import msgspec

from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.errors import ApiError

Answer = dict[str, Any] | bytes | ApiError


class RecordedApi:
    """`answer` takes method, path and body of a request."""

    def __init__(self, answer: Callable[[str, str, Any], Answer]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, *, body: object = None, timeout_s: float = 30.0) -> bytes:
        self.asked.append((method, path, body))
        answer = self.answer(method, path, body)
        if isinstance(answer, ApiError):
            raise answer
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)

    def as_server(self) -> ApiServer:
        """For the constructors."""
        return cast("ApiServer", self)
