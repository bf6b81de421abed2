"""Accepted connections change hands between processes."""

import socket

import pytest

from epp.edge.peers import handover


def test_a_connection_goes_on_where_it_was_given_to() -> None:
    giving, taking = handover.make_pair()
    client, accepted = socket.socketpair()
    with giving, taking, client:
        assert handover.take(taking) is None, "there is none yet"
        with accepted:
            assert handover.give(giving, accepted, is_guest=True)
        taken = handover.take(taking)
        assert taken is not None
        connection, is_guest = taken
        assert is_guest
        with connection:
            connection.setblocking(True)
            connection.sendall(b"hello")
            assert client.recv(10) == b"hello"
        assert client.recv(10) == b"", "nobody else has it"


@pytest.mark.parametrize("is_guest", [True, False], ids=["guest", "home"])
def test_they_come_in_order_and_say_for_whom_they_were(is_guest: bool) -> None:
    giving, taking = handover.make_pair()
    with giving, taking:
        for guest in (is_guest, not is_guest):
            one, other = socket.socketpair()
            with one, other:
                assert handover.give(giving, one, is_guest=guest)
        for guest in (is_guest, not is_guest):
            taken = handover.take(taking)
            assert taken is not None
            taken[0].close()
            assert taken[1] is guest


def test_nothing_can_be_given_to_somebody_who_is_gone_or_takes_nothing() -> None:
    giving, taking = handover.make_pair()
    one, other = socket.socketpair()
    with giving, one, other:
        given = 0
        while handover.give(giving, one, is_guest=False):
            given += 1
            assert given < 100_000
        assert given
        taking.close()
        assert not handover.give(giving, one, is_guest=False)


def test_nothing_comes_any_more_from_somebody_who_is_gone() -> None:
    giving, taking = handover.make_pair()
    giving.close()
    with taking:
        assert handover.take(taking) is None
