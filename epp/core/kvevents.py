"""vLLM's KV-cache events: ZeroMQ frames and MessagePack in, typed values out. Nothing here opens a socket.

A publisher sends frames [topic, sequence number, batch]: the number is 8 bytes big-endian and counts from 0, the batch
is [ts, events, data-parallel rank]. On request it sends old batches again from a ROUTER socket, as [(topic,) number,
batch] behind an empty frame, and at last the number -1. Batches and events are arrays, an event with its type in
front, or maps with the type under `type` (vLLM since its pull request 42892). SGLang publishes the same.
Source: vllm/distributed/kv_events.py. Fields and events that are not known here are passed over.

Everything wrong with a message raises MalformedEvents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import xxhash

from epp.core.domain.errors import PickerError

SEQUENCE_BYTES = 8
END_OF_REPLAY = (-1).to_bytes(SEQUENCE_BYTES, "big", signed=True)
GPU = "gpu"
MOST_PAYLOAD_BYTES = 32 << 20

_HASH_MASK = 2**64 - 1
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "BlockStored": (
        "block_hashes",
        "parent_block_hash",
        "token_ids",
        "block_size",
        "lora_id",
        "medium",
        "lora_name",
        "extra_keys",
        "group_idx",
        "kv_cache_spec_kind",
    ),
    "BlockRemoved": ("block_hashes", "medium", "group_idx"),
    "AllBlocksCleared": (),
}
_BATCH_FIELDS = ("ts", "events", "data_parallel_rank")
_decode = msgspec.msgpack.Decoder(strict=False).decode

ExtraKey = str | bytes | int | tuple["str | bytes | int", ...]


class MalformedEvents(PickerError):
    """A message that is none of the above; says what is wrong with it."""


class Topic(msgspec.Struct, frozen=True):
    """`kv@<pod>@<model>`; both parts are empty in a topic of another form."""

    pod: str = ""
    model: str = ""
    """name of the served base model"""


class BlockStored(msgspec.Struct, frozen=True, gc=False):
    """Blocks that follow one another in a prompt are cached now."""

    block_hashes: tuple[int, ...]
    """the engine's own names of the blocks; digests are cut down to 64 bits"""
    parent: int | None
    """name of the block before the first one, None at the beginning of a prompt"""
    token_ids: bytes
    """little-endian uint32, the tokens of all blocks; empty when a known block moves to another medium"""
    block_tokens: int
    adapter: str | None
    """LoRA adapter, empty for the base model; None when the engine says only that there is one"""
    extra_keys: tuple[tuple[ExtraKey, ...], ...] = ()
    """per block what else the engine hashed: adapter, multimodal items as (identifier, offset in the block), salt;
    empty when no block has any"""
    medium: str = GPU
    group: int = 0
    """KV cache group of a hybrid model"""
    spec_kind: str = ""
    """kind of attention of that group; empty where the engine does not say"""


class BlockRemoved(msgspec.Struct, frozen=True, gc=False):
    """Blocks are cached no more on this medium."""

    block_hashes: tuple[int, ...]
    medium: str = GPU
    group: int = 0


class AllBlocksCleared(msgspec.Struct, frozen=True, gc=False):
    """Nothing is cached any more."""


Event = BlockStored | BlockRemoved | AllBlocksCleared


class EventBatch(msgspec.Struct, frozen=True):
    """What one step of an engine did to its cache."""

    ts: float
    """the engine's clock, seconds; grows from batch to batch, and a batch that is sent again has the same"""
    events: tuple[Event, ...]
    rank: int | None = None
    """data-parallel rank of the engine"""
    unknown_events: int = 0
    payload_bytes: int = 0


def read_topic(frame: bytes) -> Topic:
    """Never fails; see Topic."""
    kind, _, rest = frame.decode("utf-8", "replace").partition("@")
    pod, at, model = rest.partition("@")
    return Topic(pod, model) if kind == "kv" and at else Topic()


def read_live(frames: Sequence[bytes]) -> tuple[Topic, int, bytes]:
    """Topic, sequence number and payload of a published message."""
    if len(frames) != 3:
        raise MalformedEvents(f"a message has {len(frames)} frames, not topic, sequence number and batch")
    return read_topic(frames[0]), _sequence(frames[1]), frames[2]


def read_replayed(frames: Sequence[bytes]) -> tuple[Topic, int, bytes] | None:
    """Topic, if it was sent, sequence number and payload of a message that is sent again; None for the end of them."""
    if len(frames) not in (3, 4):
        raise MalformedEvents(f"a replayed message has {len(frames)} frames, not an empty one, a number and a batch")
    topic, number, payload = frames[-3:]
    return None if number == END_OF_REPLAY else (read_topic(topic), _sequence(number), payload)


def replay_request(first: int) -> tuple[bytes, bytes]:
    """Frames that ask for everything from sequence number `first` on."""
    return b"", first.to_bytes(SEQUENCE_BYTES, "big")


def read_batch(payload: bytes) -> EventBatch:
    """The events of a payload."""
    if len(payload) > MOST_PAYLOAD_BYTES:
        raise MalformedEvents(f"a batch has {len(payload)} bytes; more than {MOST_PAYLOAD_BYTES} are not read")
    try:
        fields = _named(_decode(payload), _BATCH_FIELDS)
        listed = fields.get("events")
        if not isinstance(listed, list):
            raise MalformedEvents("the batch has no list of events")
        events = [_event(each) for each in listed]
        known = tuple(event for event in events if event is not None)
        rank = fields.get("data_parallel_rank")
        return EventBatch(
            ts=float(fields.get("ts") or 0.0),
            events=known,
            rank=None if rank is None else int(rank),
            unknown_events=len(events) - len(known),
            payload_bytes=len(payload),
        )
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedEvents(f"not MessagePack: {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedEvents(f"a value of the wrong type: {error}") from error


def _sequence(frame: bytes) -> int:
    if len(frame) != SEQUENCE_BYTES:
        raise MalformedEvents(f"a sequence number has {len(frame)} bytes, not {SEQUENCE_BYTES}")
    return int.from_bytes(frame, "big")


def _named(value: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """Fields by name of an array or a map."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return dict(zip(names, value, strict=False))
    raise MalformedEvents(f"expected an array or a map, got {type(value).__name__}")


def _event(value: Any) -> Event | None:
    """One event; None for a type that is not known here."""
    tag = value[0] if isinstance(value, list) and value else value.get("type") if isinstance(value, dict) else None
    if not isinstance(tag, str):
        raise MalformedEvents("an event without a type")
    names = _FIELDS.get(tag)
    if names is None:
        return None
    fields = _named(value[1:] if isinstance(value, list) else value, names)
    if tag == "BlockStored":
        return _stored(fields)
    if tag == "BlockRemoved":
        return BlockRemoved(_hashes(fields), _medium(fields), int(fields.get("group_idx") or 0))
    return AllBlocksCleared()


def _stored(fields: Mapping[str, Any]) -> BlockStored:
    parent = fields.get("parent_block_hash")
    adapter = fields.get("lora_name") or ("" if not fields.get("lora_id") else None)
    block_tokens = fields.get("block_size")
    if not isinstance(block_tokens, int) or not 0 < block_tokens < 1 << 20:
        raise MalformedEvents(f"a block size of {block_tokens!r:.40} tokens")
    if adapter is not None and not isinstance(adapter, str):
        raise MalformedEvents("the name of an adapter is no text")
    return BlockStored(
        block_hashes=_hashes(fields),
        parent=None if parent is None else _hash(parent),
        token_ids=np.array(fields.get("token_ids") or [], dtype="<u4").tobytes(),
        block_tokens=block_tokens,
        adapter=adapter,
        extra_keys=_extra_keys(fields.get("extra_keys")),
        medium=_medium(fields),
        group=int(fields.get("group_idx") or 0),
        spec_kind=str(fields.get("kv_cache_spec_kind") or ""),
    )


def _hashes(fields: Mapping[str, Any]) -> tuple[int, ...]:
    found = fields.get("block_hashes") or []
    if not isinstance(found, list):
        raise MalformedEvents("block_hashes is no list")
    return tuple([_hash(each) for each in found])


def _hash(value: Any) -> int:
    if isinstance(value, int):
        return value & _HASH_MASK
    if isinstance(value, bytes):
        return xxhash.xxh3_64_intdigest(value)
    raise MalformedEvents(f"a block hash is a number or bytes, not {type(value).__name__}")


def _medium(fields: Mapping[str, Any]) -> str:
    return str(fields.get("medium") or GPU).lower()


def _extra_keys(value: Any) -> tuple[tuple[ExtraKey, ...], ...]:
    if value is None or not any(value):
        return ()
    return tuple(tuple(_extra_key(key) for key in each or ()) for each in value)


def _extra_key(value: Any) -> ExtraKey:
    if isinstance(value, list):
        return tuple(_plain(each) for each in value)
    return _plain(value)


def _plain(value: Any) -> str | bytes | int:
    if isinstance(value, str | bytes | int):
        return value
    raise MalformedEvents(f"an extra key of type {type(value).__name__}")
