"""Memory that the allocator keeps is given back once after every time of work."""

import subprocess
import sys

import pytest

from epp.app.settled_memory import IDLE_LOOKS, SpareMemory

KEEPS_AND_GIVES_BACK = """
from pathlib import Path
from epp.app.settled_memory import SpareMemory, settle_memory

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

settle_memory()
before = resident_mib()
bodies = [bytes(1 << 20) for _ in range(40)]
wall = bytes(1000)  # lies behind them, so that the end of the heap is not free
for number in range(40):
    bodies[number] = b""
kept = resident_mib()
memory = SpareMemory()
for is_idle in (False, True, True, True):
    memory.look(is_idle=is_idle)
print(before, kept, resident_mib())
"""


def test_it_is_given_back_after_some_looks_and_once() -> None:
    given: list[int] = []
    looks = 0
    memory = SpareMemory(lambda: given.append(looks))
    for is_idle in (True, False, *[True] * 2, False, *[True] * 10, False, *[True] * 10):
        looks += 1
        memory.look(is_idle=is_idle)
    assert given == [5 + IDLE_LOOKS, 16 + IDLE_LOOKS]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_allocator_does_as_it_is_told() -> None:
    child = subprocess.run([sys.executable, "-c", KEEPS_AND_GIVES_BACK], capture_output=True, text=True, check=True)
    before, _kept, after = map(int, child.stdout.split())
    assert after - before < 20, child.stdout
