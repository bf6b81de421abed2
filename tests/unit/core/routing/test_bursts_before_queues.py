"""The window of bursts with flow control behind it: the window comes first, then the queue."""

import pytest

from epp.core.domain.errors import DroppedReason, ServiceUnavailable
from epp.core.flow.ticket import QueueTicket
from epp.core.routing.bursts import SLACK_S
from tests.support.burst_pool import BurstPool

A, B = "a" * 256, "b" * 256
TTL = "x-llm-d-request-ttl-ms"


def test_after_the_window_comes_the_queue() -> None:
    pool = BurstPool(endpoints=2, each=1)
    assert pool.queues is not None
    for name, prompt in (("x", A), ("y", A), ("z", B), ("w", B)):
        pool.ask(name, prompt)
    assert (len(pool.router), pool.queues.read().requests) == (4, 0)
    pool.pass_time(0.1)
    assert len(pool.decisions) == 2
    assert (len(pool.router), pool.queues.read().requests) == (0, 2)
    pool.end("x")
    pool.end(next(iter(pool.decisions)))
    assert len(pool.decisions) == 2
    assert not pool.tickets


def test_a_placement_is_still_there_after_the_queue() -> None:
    pool = BurstPool(endpoints=2, each=2)
    for number in range(2):
        pool.ask(f"first {number}", A)
        pool.ask(f"second {number}", B)
    for number in range(4):
        pool.ask(f"filler {number}")
    pool.pass_time(0.1)
    assert len(pool.tickets) == 4
    for number in range(4):
        pool.end(f"filler {number}")
    assert pool.where["first 0"] == pool.where["first 1"] != pool.where["second 0"] == pool.where["second 1"]


def test_the_time_in_the_window_counts_for_the_own_budget() -> None:
    pool = BurstPool(endpoints=2, each=1)
    pool.ask("running")
    pool.ask("running too")
    pool.ask("x", A, headers={TTL: "150"})
    pool.pass_time(0.14)
    assert list(pool.tickets) == ["x"]
    pool.pass_time(0.02)
    assert pool.refusals["x"].reason is DroppedReason.TTL_EXPIRED


def test_a_client_that_leaves_the_queue_after_the_window_is_never_dispatched() -> None:
    pool = BurstPool(endpoints=2, each=1)
    assert pool.queues is not None
    pool.ask("running")
    pool.ask("running too")
    pool.ask("x", A)
    pool.pass_time(0.1)
    assert pool.queues.read().requests == 1
    pool.leave("x")
    assert pool.queues.read().requests == 0
    pool.end("running")
    assert list(pool.decisions) == ["running too"]


def test_the_proxy_waits_for_window_and_queue() -> None:
    pool = BurstPool(each=1)
    pool.ask("x", A)
    ticket = pool.tickets["x"]
    assert isinstance(ticket, QueueTicket)
    assert ticket.wait_s == pytest.approx(0.1 + SLACK_S + 60.0 + 2.0)


def test_a_full_queue_refuses_after_the_window() -> None:
    pool = BurstPool(each=1)
    pool.ask("x", A)
    assert pool.queues is not None
    pool.queues.drain()
    pool.ask("running")
    pool.ask("running too")
    pool.pass_time(0.1)
    assert isinstance(pool.refusals["x"], ServiceUnavailable)
