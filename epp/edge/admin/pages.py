"""What the admin server shows, as callables that the application joins to the edges behind them.

A page is asked for on the event loop and returns the rest of the work, which runs in a thread: copies first, words
later.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

Work = Callable[[], object]
"""runs in a thread; returns a str, or something that msgspec writes as JSON"""


class DecisionsPage(Protocol):
    """`epp.edge.observe.decisions.DecisionLog.prepare`."""

    def __call__(self, *, limit: int, request_id: str, model: str) -> Work | Awaitable[Work]:
        """The newest decisions first; empty strings restrict nothing. Awaited where other processes are asked."""
        ...


class Readiness(msgspec.Struct, frozen=True):
    """Whether requests may come, and if not, why."""

    is_ready: bool
    reason: str = ""


async def _nothing() -> None:
    """Everything is in this process."""


class AdminPages(msgspec.Struct, frozen=True):
    """One callable per page."""

    metrics: Callable[[str], Callable[[], tuple[bytes, str]]]
    """takes the Accept header, gives content and content type"""
    readiness: Callable[[], Readiness]
    decisions: DecisionsPage
    endpoints: Callable[[], Work]
    config: Callable[[], Work]
    """the resolved policy: text, or values"""
    self_check: Callable[[], Work]
    gather: Callable[[], Awaitable[None]] = _nothing
    """awaited before a page is made that shows what other processes know"""
