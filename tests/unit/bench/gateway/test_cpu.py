"""CPU and memory of other processes, of one that says itself what it used."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bench.gateway.cpu import ProcessGoneError, busy_s, cpu_s, machine_cpu_s, process_tree, rss_bytes

BUSY = """
import sys, threading, time
def burn():
    began = time.thread_time()
    while time.thread_time() - began < 0.1:
        pass
thread = threading.Thread(target=burn)
thread.start()
thread.join()
burn()
held = bytearray(b"x" * 50_000_000)
print(time.process_time(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    """Has burnt 0.2 s, half of it in a thread that has ended, and holds 50 MB."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def test_cpu_is_what_the_process_says_itself(busy: subprocess.Popen[str]) -> None:
    assert busy.stdout is not None
    told = float(busy.stdout.readline())
    assert told >= 0.2
    assert told <= cpu_s([busy.pid]) < told + 0.1, "between its last word and now it does next to nothing"
    before = cpu_s([busy.pid])
    assert cpu_s([busy.pid, os.getpid()]) > before
    assert rss_bytes(busy.pid) > 50_000_000


def test_a_tree_has_children_and_nobody_else(busy: subprocess.Popen[str]) -> None:
    assert process_tree(busy.pid) == (busy.pid,)
    tree = process_tree(os.getpid())
    assert tree[0] == os.getpid()
    assert busy.pid in tree
    assert os.getppid() not in tree


def test_own_cpu_grows_as_it_is_used() -> None:
    before = cpu_s([os.getpid()])
    began = time.process_time()
    while time.process_time() - began < 0.02:
        pass
    assert cpu_s([os.getpid()]) - before >= 0.02


def test_the_machine_counts_what_anybody_uses() -> None:
    before = machine_cpu_s()
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    assert machine_cpu_s() - before >= 0.02, "its ticks are 10 ms long"


def test_idle_time_is_not_used() -> None:
    assert busy_s("cpu  100 20 30 9999 888 1 2 3 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n", 100) == 1.56


def test_a_process_that_has_ended(busy: subprocess.Popen[str]) -> None:
    busy.kill()
    busy.wait()
    for ask in (process_tree, rss_bytes, lambda pid: cpu_s([pid])):
        with pytest.raises(ProcessGoneError, match=f"process {busy.pid} has ended"):
            ask(busy.pid)
