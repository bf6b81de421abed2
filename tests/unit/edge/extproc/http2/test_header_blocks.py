"""HPACK (RFC 7541): blocks that use a table before the peer knows there is none, its sizes, what is remembered."""

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.extproc.http2.header_blocks import MOST_REMEMBERED, HeaderBlocks, RequestHead
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode
from tests.unit.edge.extproc.http2.frames import GRPC, PREFACE, SETTINGS_ACK, bare_block, block, changed, raw
from tests.unit.edge.extproc.http2.frames import settings as settings_frame
from tests.unit.edge.extproc.http2.peer import Peer, gone

MOST_BYTES = 16 << 10
TO_0, TO_4096 = b"\x20", b"\x3f\xe1\x1f"
"""updates of the table's size"""


def head(path: str) -> RequestHead:
    fields = dict(GRPC)
    return RequestHead(method=fields[":method"], path=path, content_type=fields["content-type"])


def encoded(encoder: hpack.Encoder, path: str, *, huffman: bool = True) -> bytes:
    return bytes(encoder.encode(list(changed(_path=path)), huffman=huffman))


def fault(blocks: HeaderBlocks, encoded_block: bytes) -> ErrorCode:
    with pytest.raises(ConnectionFault) as caught:
        blocks.request(encoded_block)
    return caught.value.code


def test_blocks_that_use_the_table_are_decoded_until_the_peer_knows_that_there_is_none() -> None:
    blocks, encoder = HeaderBlocks(MOST_BYTES), hpack.Encoder()
    sizes = []
    for path in ("/a", "/a", "/b", "/a", "/b"):
        part = encoded(encoder, path)
        sizes.append(len(part))
        assert blocks.request(part) == head(path)
    assert sizes[1] < 10, "the table is in use"
    blocks.forbid_table()
    encoder.header_table_size = 0
    for path in ("/a", "/b", "/a"):
        assert blocks.request(encoded(encoder, path)) == head(path)


def test_a_table_that_the_peer_does_not_give_up() -> None:
    blocks, encoder = HeaderBlocks(MOST_BYTES), hpack.Encoder()
    blocks.request(encoded(encoder, "/a"))
    blocks.forbid_table()
    assert fault(blocks, encoded(encoder, "/a")) is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize(
    "start",
    [b"\x3f\xe2\x1f", b"\x3f\xff\xff\xff\xff\x0f", b"\x3f" + b"\x80" * 30 + b"\x01"],
    ids=["4097", "max", "long"],
)
def test_a_table_that_is_larger_than_allowed(start: bytes) -> None:
    assert fault(HeaderBlocks(MOST_BYTES), start + block()[1:]) is ErrorCode.COMPRESSION_ERROR


def test_a_table_that_comes_back() -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    blocks.forbid_table()
    assert not blocks.request(block()).problem
    assert fault(blocks, TO_4096 + block()[1:]) is ErrorCode.COMPRESSION_ERROR


def test_a_change_of_size_in_the_middle_of_a_block() -> None:
    assert fault(HeaderBlocks(MOST_BYTES), block() + TO_0) is ErrorCode.COMPRESSION_ERROR


def test_several_changes_at_the_beginning() -> None:
    assert not HeaderBlocks(MOST_BYTES).request(TO_0 + TO_4096 + TO_0 + block()).problem


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x80",
        b"\xbe",
        b"\xff\x80\x80\x80\x80\x80\x01",
        b"\x00\x05abc",
        b"\x00\x01a\x7f",
        b"\x40",
        b"\x0f",
        b"\x00\x82\xff",
    ],
    ids=["index 0", "empty table", "large index", "short name", "short value", "bare", "half an index", "padding"],
)
def test_what_cannot_be_decoded(wrong: bytes) -> None:
    assert fault(HeaderBlocks(MOST_BYTES), wrong) is ErrorCode.COMPRESSION_ERROR


@settings(max_examples=300)
@given(st.binary(max_size=60), st.booleans())
def test_whatever_comes_is_a_head_or_a_fault(junk: bytes, without_table: bool) -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    if without_table:
        blocks.forbid_table()
    try:
        answer = blocks.request(junk)
    except ConnectionFault as error:
        assert error.code in {ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM}
    else:
        assert answer.problem or answer.path


def test_a_bomb_of_references_to_one_long_entry() -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    name, value = b"x", b"v" * 4_000
    entry = b"\x40\x01" + name + b"\x7f" + bytes([(4_000 - 127) & 0x7F | 0x80, (4_000 - 127) >> 7]) + value
    assert not blocks.request(bare_block() + entry + b"\xbe").problem
    assert fault(blocks, bare_block() + b"\xbe" * 100) is ErrorCode.ENHANCE_YOUR_CALM


def test_a_list_of_just_the_allowed_size() -> None:
    used = sum(len(name) + len(value) + 32 for name, value in GRPC)
    fits = (*GRPC, ("x", "v" * (MOST_BYTES - used - 33)))
    assert not HeaderBlocks(MOST_BYTES).request(block(fits)).problem
    assert fault(HeaderBlocks(MOST_BYTES), block((*fits[:-1], ("xx", fits[-1][1])))) is ErrorCode.ENHANCE_YOUR_CALM


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_a_block_is_looked_up_once_there_is_no_table() -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    blocks.forbid_table()
    first = blocks.request(block())
    assert blocks.request(block()) is first
    assert blocks.request(block(changed(_path="/x"))) == head("/x")


def test_what_is_remembered_is_bounded() -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    blocks.forbid_table()
    for number in range(3 * MOST_REMEMBERED):
        blocks.request(block(changed(_path=f"/{number}")))
        assert len(blocks._heads) <= MOST_REMEMBERED
    long = block((*GRPC, ("x", "v" * 3_000)))
    assert blocks.request(long) is not blocks.request(long)


def test_a_block_that_adds_to_the_table_adds_again_each_time() -> None:
    """While the table is small enough that it adds nothing, it means the same with each use; not so afterwards."""
    blocks = HeaderBlocks(MOST_BYTES)
    adding = bare_block() + b"\x40\x01x\x01y"
    assert not blocks.request(TO_0 + bare_block()).problem
    assert not blocks.request(adding).problem
    assert not blocks.request(TO_4096 + bare_block()).problem
    assert not blocks.request(adding).problem
    assert not blocks.request(bare_block() + b"\xbe").problem, "the entry is there"


def test_a_block_that_empties_the_table_empties_it_each_time() -> None:
    blocks = HeaderBlocks(MOST_BYTES)
    emptying = TO_0 + bare_block()
    for _ in range(2):
        assert not blocks.request(emptying).problem
        assert not blocks.request(TO_4096 + bare_block() + b"\x40\x01x\x01y\xbe").problem
    blocks.request(emptying)
    assert fault(blocks, bare_block() + b"\xbe") is ErrorCode.COMPRESSION_ERROR


steps = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.sampled_from(["/a", "/b", "/c"])),
        st.tuples(st.just("size"), st.sampled_from([0, 0, 64, 200, 4_096])),
        st.tuples(st.just("again"), st.integers(0, 5)),
    ),
    max_size=25,
)


@settings(max_examples=120)
@given(steps, st.integers(0, 25), st.booleans())
def test_the_answer_is_that_of_a_decoder_that_remembers_nothing(
    script: list[tuple[str, str | int]], forbidden_after: int, huffman: bool
) -> None:
    """An encoder that changes its table as it likes; blocks may be sent again as they were."""
    blocks, plain, encoder = HeaderBlocks(MOST_BYTES), hpack.Decoder(), hpack.Encoder()
    sent: list[bytes] = []
    for number, (what, value) in enumerate(script):
        if number == forbidden_after:
            blocks.forbid_table()
            plain.max_allowed_table_size = 0
            encoder.header_table_size = 0
        if what == "size":
            encoder.header_table_size = int(value) if number < forbidden_after else 0
            continue
        if what == "request":
            part = encoded(encoder, str(value), huffman=huffman)
        elif sent:
            part = sent[int(value) % len(sent)]
        else:
            continue
        sent.append(part)
        try:
            expected = {str(name): str(value) for name, value in plain.decode(part, raw=False)}
        except hpack.HPACKError:
            assert fault(blocks, part) is ErrorCode.COMPRESSION_ERROR
            return
        answer = blocks.request(part)
        told = (answer.method, answer.path, answer.content_type)
        assert told == tuple(expected.get(name, "") for name in (":method", ":path", "content-type"))


# -- on a connection ---------------------------------------------------------------------------------------------------


def test_the_table_is_forbidden_by_the_acknowledgement_and_not_before() -> None:
    peer, encoder = Peer(greets=False), hpack.Encoder()
    peer.send(PREFACE, settings_frame())
    for stream_id in (1, 3, 5):
        peer.send(raw(1, 4, stream_id, encoder.encode(list(GRPC))))
    assert len(peer.handlers) == 3
    peer.send(SETTINGS_ACK)
    encoder.header_table_size = 0
    for stream_id in (7, 9, 11):
        peer.send(raw(1, 4, stream_id, encoder.encode(list(GRPC))))
    assert len(peer.handlers) == 6
    assert peer.send(raw(1, 4, 13, TO_4096 + bare_block())) == gone(ErrorCode.COMPRESSION_ERROR, 11)
