"""Accepted connections, from the control process to a picker: one descriptor in each message of a socket pair."""

import socket

AT_HOME = b"h"
GUEST = b"g"
"""meant for another picker, which is not there"""
_MOST_DESCRIPTORS = 1


def make_pair() -> tuple[socket.socket, socket.socket]:
    """The end that gives and the end that takes."""
    giving, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    giving.setblocking(False)
    taking.setblocking(False)
    return giving, taking


def give(end: socket.socket, connection: socket.socket, *, is_guest: bool) -> bool:
    """Hands a connection over; False when the picker is gone or takes nothing. It stays open here either way."""
    try:
        socket.send_fds(end, [GUEST if is_guest else AT_HOME], [connection.fileno()])
    except OSError:
        return False
    return True


def take(end: socket.socket) -> tuple[socket.socket, bool] | None:
    """The next connection, and whether it is a guest's; None when there is none now."""
    try:
        content, descriptors, _, _ = socket.recv_fds(end, len(GUEST), _MOST_DESCRIPTORS)
    except (BlockingIOError, ConnectionError):
        return None
    if not descriptors:
        return None
    return socket.socket(fileno=descriptors[0]), content == GUEST
