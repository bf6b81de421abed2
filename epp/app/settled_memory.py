"""The garbage collector of a process that serves for weeks."""

import gc

GC_THRESHOLDS = (10_000, 20, 100)
"""objects made before a look at the youngest; such looks before one at the middle ones; such before one at all"""


def settle_memory() -> None:
    """What start-up made stays until the end: the garbage collector need not look at it again and again.

    Looking takes 65 ms, in which no request is answered; and with hundreds of pods what came later is looked at less
    often than by default, for the same reason. Garbage of requests dies young and is found all the same.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
