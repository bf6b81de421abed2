"""The event loop of the benchmark's own processes: uvloop where it is installed."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_on_uvloop(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs `work` to its end."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415  an extra of the package
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
