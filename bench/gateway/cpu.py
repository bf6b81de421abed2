"""CPU time and memory of other processes, each with all its threads, from the kernel of Linux."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

CPUCLOCK_SCHED = 2


class ProcessGoneError(Exception):
    """A process that is measured has ended."""


def process_tree(pid: int) -> tuple[int, ...]:
    """A process and all its descendants; raises ProcessGoneError."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int(_stat_fields(int(folder.name))[1])
            except ProcessGoneError:  # ended while we look around
                continue
            children.setdefault(parent, []).append(int(folder.name))
    _stat_fields(pid)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return tuple(found)


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used so far, threads that have ended included; raises ProcessGoneError.

    Read from each process's CPU clock (clock_getcpuclockid(3)), which counts nanoseconds; the ticks of /proc/PID/stat
    are only 10 ms long, and /proc/PID/task/*/schedstat forgets threads that have ended.
    """
    return sum(_cpu_clock_s(pid) for pid in pids)


def machine_cpu_s() -> float:
    """CPU seconds in which the cores of this machine were not ours to use or were used by anybody, us included.

    Idle time and waits for disks are left out; time stolen by a hypervisor is in it. Source: /proc/stat, proc(5).
    """
    return busy_s(Path("/proc/stat").read_text(), os.sysconf("SC_CLK_TCK"))


def busy_s(stat: str, ticks_per_s: int) -> float:
    """From the text of /proc/stat: user, nice, system, irq, softirq and steal of all cores together."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.splitlines()[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / ticks_per_s


def rss_bytes(pid: int) -> int:
    """Resident memory (VmRSS); raises ProcessGoneError."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessGoneError(f"process {pid} has ended") from error
    return 0  # a kernel thread or a zombie has no memory


def _cpu_clock_s(pid: int) -> float:
    try:
        # How Linux numbers these clocks: MAKE_PROCESS_CPUCLOCK in include/linux/posix-timers_types.h.
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        user, system = _stat_fields(pid)[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessGoneError(f"process {pid} has ended") from error
