"""Connections are tested on each event loop that the picker may run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
WISH = "ON_EVERY_LOOP"
"""a module in which this name is True wants that"""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Names and makers of the loops of one test."""
    if getattr(item.getparent(pytest.Module).obj, WISH, False):  # type: ignore[union-attr]  # tests are in modules
        return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.SelectorEventLoop}
