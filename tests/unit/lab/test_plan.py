"""Addresses and ports of a local stack."""

import socket

from epp.lab.plan import StackPlan, free_port

HOSTS = ("127.0.0.2", "127.0.0.3")


def test_every_pod_has_an_address_of_its_own() -> None:
    assert StackPlan(pods=3).hosts == ("127.0.0.11", "127.0.0.12", "127.0.0.13")
    assert StackPlan(pods=2, network="127.1.2").hosts == ("127.1.2.11", "127.1.2.12")


def test_the_wanted_port_is_taken_if_it_is_free() -> None:
    with socket.socket() as probe:
        probe.bind((HOSTS[0], 0))
        port = probe.getsockname()[1]
    assert free_port(HOSTS, port) == port


def test_a_port_that_is_taken_on_any_host_is_not() -> None:
    with socket.socket() as other:
        other.bind((HOSTS[1], 0))
        other.listen()
        taken = other.getsockname()[1]
        found = free_port(HOSTS, taken)
    assert found not in {0, taken}


def test_zero_is_left_to_whoever_listens() -> None:
    assert free_port(HOSTS, 0) == 0
