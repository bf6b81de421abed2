"""`epp serve`: starts a picker process, serves until SIGTERM or SIGINT, drains, ends."""

import asyncio
import gc

import msgspec

from epp import __version__
from epp.app.configuration import picker_config
from epp.app.options import ServeOptions
from epp.app.picker import PickerProcess
from epp.app.ready_file import write_ready
from epp.app.signals import catch_signals
from epp.edge.observe.logs import LogFormat, configure_logs, get_logger

GC_THRESHOLDS = (10_000, 20, 100)
"""objects made before a look at the youngest; such looks before one at the middle ones; such before one at all"""


async def serve(options: ServeOptions) -> None:
    """Runs until a signal; raises PickerError when it cannot start. A second signal ends the drain."""
    config = picker_config(options)
    log_format: LogFormat = "json" if options.log_format == "json" else "auto"
    configure_logs(options.verbosity, "console" if options.log_format == "console" else log_format)
    logger = get_logger("serve")
    for notice in (*options.notices, *map(str, config.notices)):
        logger.warning("accepted, but", notice=notice)
    picker = PickerProcess(options, config)
    signals = catch_signals()
    try:
        await picker.start()
        _settle_memory()
        if options.ready_file is not None:
            write_ready(options.ready_file, picker.ports)
        logger.info("serving", version=__version__, **msgspec.structs.asdict(picker.ports))
        background = asyncio.ensure_future(picker.run())
        first = asyncio.ensure_future(signals.get())
        done, _ = await asyncio.wait((background, first), return_when=asyncio.FIRST_COMPLETED)
        if background in done:
            first.cancel()
            background.result()
        logger.info("draining", at_most_s=options.drain_timeout_s)
        interrupted = asyncio.Event()
        second = asyncio.ensure_future(signals.get())
        second.add_done_callback(lambda _: interrupted.set())
        await picker.drain(interrupted)
        second.cancel()
        background.cancel()
        await asyncio.wait((background,))
    finally:
        await picker.stop()
    logger.info("stopped")


def _settle_memory() -> None:
    """What start-up made stays until the end: the garbage collector need not look at it again and again.

    Looking takes 65 ms, in which no request is answered; and with hundreds of pods what came later is looked at less
    often than by default, for the same reason. Garbage of requests dies young and is found all the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
