"""Addresses that cannot be listened on are named with their flag and with what to do."""

import socket

import pytest

from epp.app.listening import bind, check_listening, host_of
from epp.core.domain.errors import InvalidInput


def test_a_free_port_is_left_free() -> None:
    check_listening("grpc-port", "127.0.0.1", 0)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    check_listening("grpc-port", "127.0.0.1", port)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))


def test_a_taken_port_names_flag_address_and_port() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(InvalidInput) as raised:
            check_listening("grpc-port", "127.0.0.1", port)
    assert str(raised.value).startswith(f"--grpc-port: cannot listen on 127.0.0.1 port {port}: address already in use;")
    assert "choose another port" in str(raised.value)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(InvalidInput, match="this machine does not have that address"):
        check_listening("bind-address", "192.0.2.1", 0)


async def test_a_server_that_refuses_after_all_is_named_too() -> None:
    async def start() -> None:
        raise RuntimeError("somebody was quicker")

    with pytest.raises(InvalidInput, match=r"^--grpc-port: cannot listen on 127.0.0.1 port 0: somebody was quicker"):
        await bind("grpc-port", "127.0.0.1", 0, start)


def test_ipv6_stands_in_brackets_before_a_port() -> None:
    assert [host_of(address) for address in ("127.0.0.1", "::1")] == ["127.0.0.1", "[::1]"]
