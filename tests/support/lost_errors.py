"""Errors that would end in a log: exceptions of tasks and callbacks, and what gRPC says of its servicers."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("asyncio", "grpc._cython.cygrpc", "grpc")
NOISE = "PollerCompletionQueue._handle_events"
"""gRPC still has events for the loop of an earlier test, which is closed; tests on one loop (session scope) avoid it"""


class _Collector(logging.Handler):
    def __init__(self, lost: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if NOISE not in text:
            self._lost.append(text)


@contextmanager
def no_lost_errors() -> Iterator[None]:
    """Fails in the end with every error that asyncio or gRPC logged meanwhile; needs a running loop."""
    gc.freeze()  # what was there before needs no look, which makes the collection below cheap
    lost: list[str] = []
    collector = _Collector(lost)
    asyncio.get_running_loop().set_exception_handler(None)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(collector)
    try:
        yield
        gc.collect()  # a task's exception is reported when the task is collected
    finally:
        gc.unfreeze()
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(collector)
    assert not lost, "\n".join(lost)
