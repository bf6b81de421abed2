"""Ports that are free now and that nobody else is given by chance before they are used.

They lie below the range from which the system gives ports to clients and to servers that ask for any, and each test
process looks in a part of its own.
"""

import itertools
import os
import socket
from collections.abc import Iterator

FIRST, LAST, PER_PROCESS = 10_000, 32_000, 100


def _own_ports() -> Iterator[int]:
    parts = (LAST - FIRST) // PER_PROCESS
    first = FIRST + os.getpid() % parts * PER_PROCESS
    return itertools.cycle(range(first, first + PER_PROCESS))


_PORTS = _own_ports()


def free_port(*hosts: str) -> int:
    """A port that is free on every host, 127.0.0.1 unless told; another one with every call."""
    for port in itertools.islice(_PORTS, PER_PROCESS):
        if all(_is_free(host, port) for host in hosts or ("127.0.0.1",)):
            return port
    raise OSError(f"no port of this process's {PER_PROCESS} is free")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
