"""SIGTERM and SIGINT as something to await."""

import asyncio
import signal


def catch_signals() -> asyncio.Queue[int]:
    """Their numbers as they come, instead of what they do by default."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    return signals
