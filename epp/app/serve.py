"""`epp serve`: starts a picker process, serves until SIGTERM or SIGINT, drains, ends."""

import asyncio

import msgspec

from epp import __version__
from epp.app.configuration import config_of, config_text
from epp.app.logging_options import configure_process_logs
from epp.app.options import ServeOptions
from epp.app.picker import PickerProcess
from epp.app.ready_file import write_ready
from epp.app.settled_memory import settle_memory
from epp.app.signals import catch_signals
from epp.edge.observe.logs import get_logger


async def serve(options: ServeOptions) -> None:
    """Runs until a signal; raises PickerError when it cannot start. A second signal ends the drain."""
    text = config_text(options)
    config = config_of(options, text)
    configure_process_logs(options)
    logger = get_logger("serve")
    for notice in (*options.notices, *map(str, config.notices)):
        logger.warning("accepted, but", notice=notice)
    picker = PickerProcess(options, config, text)
    signals = catch_signals()
    try:
        await picker.start()
        settle_memory()
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
