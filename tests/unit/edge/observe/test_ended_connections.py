"""Connections that were ended because of their peers: every one is counted, and one per reason is in the log."""

import structlog
from structlog.testing import capture_logs

from epp.edge.observe.ended_connections import EndedConnections
from epp.edge.observe.repeated import RepeatedProblems
from tests.support.watched_pool import WatchedPool

CALM, SILENT = "ENHANCE_YOUR_CALM", "silent"


def test_every_one_is_counted_and_one_per_reason_is_logged() -> None:
    pool = WatchedPool()
    with capture_logs() as lines:
        ended = EndedConnections("grpc-port", pool.sink, RepeatedProblems(structlog.get_logger(), pool.clock))
        for port in (1, 2, 3):
            ended(f"192.0.2.7:{port}", CALM, "too many PINGs")
        ended("192.0.2.8:9", SILENT, "no answer")

    page = pool.page()
    assert page.value("epp_connections_ended_total", {"reason": CALM}) == 3
    assert page.value("epp_connections_ended_total", {"reason": SILENT}) == 1
    assert [(line["event"], line["port"], line["peer"], line["reason"], line["detail"]) for line in lines] == [
        ("connection ended", "grpc-port", "192.0.2.7:1", CALM, "too many PINGs"),
        ("connection ended", "grpc-port", "192.0.2.8:9", SILENT, "no answer"),
    ]


def test_ports_are_logged_apart() -> None:
    pool = WatchedPool()
    with capture_logs() as lines:
        problems = RepeatedProblems(structlog.get_logger(), pool.clock)
        for port in ("grpc-port", "grpc-health-port"):
            EndedConnections(port, pool.sink, problems)("192.0.2.7:1", CALM, "too many PINGs")

    assert [line["port"] for line in lines] == ["grpc-port", "grpc-health-port"]
    assert pool.page().value("epp_connections_ended_total", {"reason": CALM}) == 2
