"""The codec of KV-cache events, fed with what vLLM's own structs encode to."""

from typing import Any

import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from epp.core.kvevents import (
    END_OF_REPLAY,
    MOST_PAYLOAD_BYTES,
    AllBlocksCleared,
    BlockRemoved,
    BlockStored,
    MalformedEvents,
    Topic,
    read_batch,
    read_live,
    read_replayed,
    read_topic,
    replay_request,
)

encode = msgspec.msgpack.encode
IDS = np.arange(4, dtype="<u4").tobytes()


class ArrayEvent(msgspec.Struct, array_like=True, omit_defaults=True, tag=True):
    """As vLLM defines them up to pull request 42892."""


class MapEvent(msgspec.Struct, omit_defaults=True, tag=True):
    """And since."""


def stored_of(kind: type[msgspec.Struct], fields: dict[str, Any]) -> msgspec.Struct:
    """A `BlockStored` struct with these fields in this order."""
    array = issubclass(kind, ArrayEvent)
    types = [(name, Any) for name in fields]
    made = msgspec.defstruct("BlockStored", types, bases=(kind,), array_like=array, omit_defaults=True, tag=True)
    return made(**fields)


FULL = {
    "block_hashes": [11, 12],
    "parent_block_hash": 10,
    "token_ids": [0, 1, 2, 3],
    "block_size": 2,
    "lora_id": 3,
    "medium": "GPU",
    "lora_name": "food",
    "extra_keys": [("food", ("cat", 1), "salt"), ("food",)],
    "group_idx": 1,
    "kv_cache_spec_kind": "full_attention",
    "kv_cache_spec_sliding_window": None,
    "a_field_of_the_future": 5,
}


@pytest.mark.parametrize("kind", [ArrayEvent, MapEvent])
def test_every_field_in_both_forms(kind: type[msgspec.Struct]) -> None:
    fields = {"ts": 1.5, "events": [stored_of(kind, FULL)], "data_parallel_rank": 4}
    payload = encode(list(fields.values()) if kind is ArrayEvent else fields)
    batch = read_batch(payload)
    assert (batch.ts, batch.rank, batch.unknown_events, batch.payload_bytes) == (1.5, 4, 0, len(payload))
    assert batch.events == (
        BlockStored(
            block_hashes=(11, 12),
            parent=10,
            token_ids=IDS,
            block_tokens=2,
            adapter="food",
            extra_keys=(("food", ("cat", 1), "salt"), ("food",)),
            medium="gpu",
            group=1,
            spec_kind="full_attention",
        ),
    )


def only(*event: Any) -> Any:
    """The one event of a batch with it as an array."""
    (found,) = read_batch(encode([0.0, [list(event)]])).events
    return found


def test_the_first_version_had_no_medium_no_names_and_no_extra_keys() -> None:
    assert only("BlockStored", [11, 12], None, [0, 1, 2, 3], 2, None) == BlockStored((11, 12), None, IDS, 2, "")
    assert only("BlockRemoved", [11]) == BlockRemoved((11,))


def test_an_adapter_of_which_only_a_number_is_told_has_no_name() -> None:
    assert only("BlockStored", [11], None, [0, 1], 2, 3, "GPU").adapter is None
    assert only("BlockStored", [11], None, [0, 1], 2, 0, "GPU").adapter == "", "a simulator's base model"


def test_hashes_may_be_digests() -> None:
    digest = b"\x01" * 32
    event = only("BlockStored", [digest], digest, [0, 1], 2, None)
    assert event.block_hashes == (xxhash.xxh3_64_intdigest(digest),)
    assert event.parent == xxhash.xxh3_64_intdigest(digest)
    assert only("BlockRemoved", [-1, 2**64 - 1], "CPU") == BlockRemoved((2**64 - 1, 2**64 - 1), "cpu")


def test_blocks_without_any_extra_keys_cost_nothing() -> None:
    assert only("BlockStored", [1, 2], None, [0, 1], 1, None, "GPU", None, [None, None]).extra_keys == ()
    assert only("BlockStored", [1, 2], None, [0, 1], 1, None, "GPU", None, [["s"], None]).extra_keys == (("s",), ())


def test_cleared_and_unknown_events() -> None:
    batch = read_batch(encode([0.0, [["AllBlocksCleared"], ["BlockPolished", 1], {"type": "AllBlocksCleared"}], 0]))
    assert batch.events == (AllBlocksCleared(), AllBlocksCleared())
    assert batch.unknown_events == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        encode([0.0, [["AllBlocksCleared"]], 0])[:-1],
        encode(7),
        encode([0.0]),
        encode([0.0, 7]),
        encode([0.0, [7]]),
        encode([0.0, [[7]]]),
        encode([0.0, [[]]]),
        encode(["soon", []]),
        encode([0.0, [], "one"]),
        encode([0.0, [["BlockStored", [1], None, [0], 0, None]]]),
        encode([0.0, [["BlockStored", [1], None, [0], "two", None]]]),
        encode([0.0, [["BlockStored", [1], None, [-1], 1, None]]]),
        encode([0.0, [["BlockStored", [1], None, [2**32], 1, None]]]),
        encode([0.0, [["BlockStored", [1], None, ["word"], 1, None]]]),
        encode([0.0, [["BlockStored", [1.5], None, [0], 1, None]]]),
        encode([0.0, [["BlockStored", 1, None, [0], 1, None]]]),
        encode([0.0, [["BlockStored", [1], None, [0], 1, None, "GPU", 7]]]),
        encode([0.0, [["BlockStored", [1], None, [0], 1, None, "GPU", None, [[{}]]]]]),
        encode([0.0, [["BlockStored", [1], None, [0], 1, None, "GPU", None, 5]]]),
        encode([0.0, [["BlockRemoved", [None]]]]),
        b"\x91" * 100_000,
    ],
)
def test_what_is_no_batch_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedEvents):
        read_batch(payload)


def test_an_enormous_batch_is_not_read() -> None:
    with pytest.raises(MalformedEvents, match=f"{MOST_PAYLOAD_BYTES + 1} bytes"):
        read_batch(bytes(MOST_PAYLOAD_BYTES + 1))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
TAGS = st.sampled_from(["BlockStored", "BlockRemoved", "AllBlocksCleared", "Other"])


@given(st.lists(st.tuples(TAGS, st.lists(VALUES, max_size=11)), max_size=3), VALUES, VALUES)
def test_any_values_are_read_or_malformed(events: list[tuple[str, list[Any]]], ts: Any, rank: Any) -> None:
    try:
        batch = read_batch(encode([ts, [[tag, *fields] for tag, fields in events], rank]))
    except MalformedEvents:
        return
    assert len(batch.events) + batch.unknown_events == len(events)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_malformed(payload: bytes) -> None:
    try:
        read_batch(payload)
    except MalformedEvents as error:
        assert str(error)


def test_frames_of_a_published_message() -> None:
    assert read_live([b"kv@10.0.0.1:8000@meta/llama", (7).to_bytes(8, "big"), b"batch"]) == (
        Topic("10.0.0.1:8000", "meta/llama"),
        7,
        b"batch",
    )


@pytest.mark.parametrize("topic", [b"", b"kv", b"kv@pod", b"kv-events", b"\xff@a@b"])
def test_another_topic_says_nothing(topic: bytes) -> None:
    assert read_topic(topic) == Topic()


@pytest.mark.parametrize(
    "frames", [[], [b"topic"], [b"topic", b"batch"], [b"topic", b"7", b"batch"], [b"", b"topic", bytes(8), b"batch"]]
)
def test_other_frames_are_malformed(frames: list[bytes]) -> None:
    with pytest.raises(MalformedEvents):
        read_live(frames)


def test_frames_of_a_replay() -> None:
    number = (7).to_bytes(8, "big")
    assert replay_request(7) == (b"", number)
    assert read_replayed([b"", number, b"batch"]) == (Topic(), 7, b"batch")
    named = [b"", b"kv@pod@model", number, b"batch"]
    assert read_replayed(named) == (Topic("pod", "model"), 7, b"batch"), "vLLM since pull request 45177"
    assert read_replayed([b"", END_OF_REPLAY, b""]) is None
    assert read_replayed([b"", b"kv@pod@model", END_OF_REPLAY, b""]) is None
    with pytest.raises(MalformedEvents):
        read_replayed([number, b"batch"])
