"""Waits for a condition of the outside world, with a bound; for what has no event to await."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, within_s: float = 5.0, what: str = "") -> None:
    """Returns as soon as `condition()` is true; AssertionError when it is not within `within_s` seconds."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + within_s
    while True:
        if condition():
            return
        if clock() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what or condition}")
        await asyncio.sleep(0.002)
