"""Which event loop a picker runs on."""

import asyncio
import importlib.util
from collections.abc import Callable

from epp.app.options import ServeOptions, TransportKind


def loop_factory(options: ServeOptions) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed, None for asyncio's own.

    The gRPC library brings its own poller, which takes more CPU beside uvloop than beside asyncio's loop.
    """
    if options.transport is TransportKind.GRPCIO or importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop  # noqa: PLC0415  optional

    return uvloop.new_event_loop
