"""The memory of a process that serves for weeks: garbage collector and allocator."""

import ctypes
import gc
from collections.abc import Callable

GC_THRESHOLDS = (10_000, 20, 100)
"""objects made before a look at the youngest; such looks before one at the middle ones; such before one at all"""
KEPT_BYTES = 24 << 20
"""free memory that the allocator keeps at the end of its heap until there is nothing to do"""
LARGE_BYTES = 4 << 20
"""what is at least as large gets pages of its own, which are given back at once"""
IDLE_LOOKS = 3
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def settle_memory() -> None:
    """What start-up made stays until the end: the garbage collector need not look at it again and again.

    Looking takes 65 ms, in which no request is answered; and with hundreds of pods what came later is looked at less
    often than by default, for the same reason. Garbage of requests dies young and is found all the same.

    The allocator keeps the room of bodies that were freed for the next ones: to get pages from the kernel and to give
    them back for every body of a megabyte took a fifth of the CPU time of such requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def _trim() -> None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


class SpareMemory:
    """Gives back what the allocator keeps when there is nothing to do: it takes a millisecond."""

    def __init__(self, trim: Callable[[], None] = _trim) -> None:
        self._trim = trim
        self._idle_looks = IDLE_LOOKS

    def look(self, *, is_idle: bool) -> None:
        """Called once a second or so."""
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        if self._idle_looks == IDLE_LOOKS:
            self._trim()
