"""The last requests that a pod served, for tests that compare them with the picker's decisions."""

from collections import deque
from typing import Literal

import msgspec

LIMIT = 1000

Outcome = Literal["completed", "aborted", "refused"]


class ServedRequest(msgspec.Struct, frozen=True):
    """One inference request. `priority` is the body's field, None when it had none; `model` is the name asked for.

    `completion_tokens` are those made before the end; an aborted request lost its client, a refused one got an error.
    """

    request_id: str
    path: str
    unix_s: float
    status: int
    outcome: Outcome
    model: str | None = None
    priority: int | None = None
    stream: bool = False
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    destination: str = ""
    """where the picker sent it, as its header says; empty when nobody picked"""


class Journal:
    """The last 1000 requests in the order of their end."""

    def __init__(self) -> None:
        self._served: deque[ServedRequest] = deque(maxlen=LIMIT)

    def add(self, served: ServedRequest) -> None:
        """Remembers one more, forgets the oldest."""
        self._served.append(served)

    def all(self) -> tuple[ServedRequest, ...]:
        """What is remembered, oldest first."""
        return tuple(self._served)
