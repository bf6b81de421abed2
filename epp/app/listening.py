"""Listening: says in words of ours why an address cannot be had, before a library says it in its own."""

import errno
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable

from epp.core.domain.errors import InvalidInput

WHAT_TO_DO = {
    errno.EADDRINUSE: "another process listens there; end it, or choose another port (0 takes a free one)",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "ports below 1024 need a privilege; choose another port",
}


async def bind(flag: str, address: str, port: int, start: Callable[[], Awaitable[None]]) -> None:
    """Starts a server that listens on (IP address, port); raises InvalidInput naming `flag` when it cannot."""
    check_listening(flag, address, port)
    try:
        await start()
    except RuntimeError as error:
        raise InvalidInput(f"--{flag}", f"cannot listen on {address} port {port}: {error}") from error


def check_listening(flag: str, address: str, port: int) -> None:
    """Raises InvalidInput naming `flag` when (IP address, port) cannot be bound now; port 0 tries the address alone."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: a connection that ended a moment ago does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            hint = WHAT_TO_DO.get(error.errno or 0, "")
            problem = f"cannot listen on {address} port {port}: {reason}"
            raise InvalidInput(f"--{flag}", f"{problem}; {hint}" if hint else problem) from error


def host_of(address: str) -> str:
    """The address as it stands before `:port`: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
