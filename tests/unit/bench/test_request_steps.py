"""bench/request_steps.py counts what really runs, and nothing after it."""

import sys

from bench.request_steps import count
from epp.core.routing.router import Router
from tests.support.compiled import on_sources


@on_sources
async def test_every_request_is_counted_once() -> None:
    traced_before = sys.gettrace()
    steps = await count(endpoints=3, prompt_bytes=200, requests=7)
    assert steps.calls[Router.decide.__code__] == 7
    assert steps.bytecodes[Router.decide.__code__] % 7 == 0
    assert sys.gettrace() is traced_before
