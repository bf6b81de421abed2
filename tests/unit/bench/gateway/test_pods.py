"""Pods: what they answer to whom, and that bodies are swallowed however they come."""

import pytest

from bench.gateway.answers import EVENTS, STREAM_BODY_BYTES, STREAM_CHUNKS, WHOLE_BODY, PodAnswers
from bench.gateway.http1 import HttpError, MessageReader, header
from bench.gateway.pods import PodConnection, Ticker, hosts_of, metrics_answer, metrics_page
from epp.edge.scrape.engines import ENGINES
from epp.edge.scrape.load_scan import scan
from tests.support.eventually import eventually
from tests.support.recorded_transport import RecordedTransport

POD = "127.0.0.11:8000"
BODY = b'{"prompt": "x"}' * 1000


def request(*headers: str, body: bytes = BODY) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", *headers, f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Pod:
    """One connection, with the answers that were written to it."""

    def __init__(self) -> None:
        self.transport = RecordedTransport()
        self.ticker = Ticker(every_s=0.0)
        self.connection = PodConnection(PodAnswers(POD), metrics_answer(), self.ticker)
        self.connection.connection_made(self.transport)

    def answers(self) -> list[tuple[bytes, int]]:
        """Head and bytes of the body of every whole answer."""
        heads: list[bytes] = []
        bodies: list[int] = []
        reader = MessageReader(heads.append, lambda: bodies.append(reader.body_bytes))
        reader.feed(self.transport.written)
        assert reader.is_between_messages
        return list(zip(heads, bodies, strict=True))


@pytest.mark.parametrize(
    ("destination", "decision"),
    [
        (f"x-gateway-destination-endpoint: {POD}", b"own"),
        (f"x-gateway-destination-endpoint: {POD},127.0.0.12:8000", b"own"),
        (f"x-gateway-destination-endpoint: 127.0.0.12:8000,{POD}", b"other"),
        (f"x-gateway-destination-endpoint: {POD}1", b"other"),
        ("x-gateway-destination-endpoint: 127.0.0.12:8000", b"other"),
        ("x-request-id: 1", b"none"),
    ],
)
def test_it_says_whether_it_was_named(destination: str, decision: bytes) -> None:
    pod = Pod()
    pod.connection.data_received(request("host: a", destination))
    [(head, body_bytes)] = pod.answers()
    assert header(head, b"x-bench-pod") == POD.encode()
    assert header(head, b"x-bench-decision") == decision
    assert body_bytes == len(WHOLE_BODY)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bodies_in_pieces_get_one_answer_each(step: int) -> None:
    pod = Pod()
    chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"fa0\r\n" + b"x" * 4000 + b"\r\n0\r\n\r\n"
    text = request("host: a") + chunked + request("host: a", body=b"")
    for at in range(0, len(text), step):
        pod.connection.data_received(text[at : at + step])
    assert [size for _, size in pod.answers()] == [len(WHOLE_BODY)] * 3


async def test_a_streamed_answer_comes_event_by_event() -> None:
    pod = Pod()
    pod.connection.data_received(request("x-bench-answer: stream"))
    assert len(pod.transport.writes) == 1, "the head alone"
    await eventually(lambda: pod.transport.written.endswith(b"0\r\n\r\n"), what="the end of the answer")
    assert len(pod.transport.writes) == 1 + STREAM_CHUNKS
    [(_, body_bytes)] = pod.answers()
    assert body_bytes == STREAM_BODY_BYTES
    assert pod.transport.written.count(b"data: {") == len(EVENTS) == STREAM_CHUNKS
    assert b"data: [DONE]\n\n" in pod.transport.writes[-1]


async def test_nothing_is_written_to_a_connection_that_has_ended() -> None:
    pod, other = Pod(), Pod()
    other.connection = PodConnection(PodAnswers(POD), b"", pod.ticker)
    other.connection.connection_made(other.transport)
    for each in (pod, other):
        each.connection.data_received(request("x-bench-answer: stream"))
    pod.connection.connection_lost(None)
    await eventually(lambda: other.transport.written.endswith(b"0\r\n\r\n"), what="the other answer's end")
    assert len(pod.transport.writes) == 1


def test_a_request_that_is_none_ends_the_connection() -> None:
    pod = Pod()
    with pytest.raises(HttpError):
        pod.connection.data_received(b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n")
    assert pod.transport.is_aborted


def test_the_metrics_page_is_one_that_the_picker_reads() -> None:
    pod = Pod()
    pod.connection.data_received(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")
    assert pod.transport.written.endswith(metrics_page())
    report = scan(metrics_page(), ENGINES["vllm"])
    assert (report.waiting, report.running, report.kv_usage, report.kv_block_tokens) == (0, 0, 0.0, 16)


def test_a_thousand_pods_have_addresses_of_their_own() -> None:
    hosts = hosts_of("127.30", 1000)
    assert len(set(hosts)) == 1000
    assert (hosts[0], hosts[250], hosts[-1]) == ("127.30.0.2", "127.30.1.2", "127.30.3.251")
