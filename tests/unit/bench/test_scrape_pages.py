"""The pages of bench/scrape.py: what an exposition parser and the picker make of them."""

import itertools

import pytest

from bench.scrape_pages import DIFFERENT_PAGES, PageConnection, Pages, answer_of, idle_page, pages_of
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.load_scan import scan
from epp.edge.scrape.response_reader import Response, ResponseReader
from tests.support.metrics_page import ParsedPage
from tests.support.recorded_transport import RecordedTransport

KINDS: tuple[Pages, ...] = ("idle", "changing")


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_as_long_as_a_real_engines_and_tell_everything(kind: Pages) -> None:
    for page in pages_of(kind)[:3]:
        assert 30_000 < len(page) < 60_000
        assert ParsedPage(page).types["vllm:request_queue_time_seconds"] == "histogram"
        report = scan(page, VLLM)
        assert None not in (report.waiting, report.running, report.kv_usage, report.kv_blocks)
        assert None not in (report.totals.first_token_s, report.totals.output_tokens)


def test_a_busy_engine_says_something_else_each_time() -> None:
    reports = [scan(page, VLLM) for page in pages_of("changing")]
    assert len(reports) == DIFFERENT_PAGES
    assert all(one != other for one, other in itertools.pairwise(reports))
    outputs = [report.totals.output_tokens or 0.0 for report in reports]
    assert outputs == sorted(outputs)


def test_pages_are_shown_in_turn() -> None:
    transport = RecordedTransport()
    connection = PageConnection(itertools.cycle([b"one", b"two"]))
    connection.connection_made(transport)
    for _ in range(3):
        connection.data_received(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert transport.written == b"onetwoone"


def test_an_answer_is_one_that_the_picker_reads() -> None:
    reader = ResponseReader()
    reader.begin()
    assert reader.feed(answer_of(idle_page())) == Response(200, idle_page(), keeps_connection=True)
