"""Messages of the gRPC APIs, made by the protobuf library from field numbers written here: what the picker's own reader
of the wire format is held against. And gRPC's framing.
"""

import gzip
import zlib
from collections.abc import Callable
from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "uint32": _FIELD.TYPE_UINT32,
    "int32": _FIELD.TYPE_INT32,
    "bool": _FIELD.TYPE_BOOL,
    "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE,
}
_SHAPES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "SamplingParams": (
        ("temperature", "float", 1),
        ("max_tokens", "uint32", 8),
        ("stop", "string*", 10),
        ("seed", "int32", 24),
    ),
    "TokenizedInput": (("original_text", "string", 1), ("input_ids", "uint32*", 2)),
    "GenerateRequest": (
        ("request_id", "string", 1),
        ("tokenized", "TokenizedInput", 2),
        ("text", "string", 3),
        ("sampling_params", "SamplingParams", 4),
        ("stream", "bool", 5),
        ("data_parallel_rank", "double", 9),
    ),
    "GenerateStreamChunk": (
        ("token_ids", "uint32*", 1),
        ("prompt_tokens", "uint32", 2),
        ("completion_tokens", "uint32", 3),
        ("cached_tokens", "uint32", 4),
    ),
    "GenerateComplete": (
        ("output_ids", "uint32*", 1),
        ("finish_reason", "string", 2),
        ("prompt_tokens", "uint32", 3),
        ("completion_tokens", "uint32", 4),
        ("cached_tokens", "uint32", 5),
        ("index", "uint32", 8),
    ),
    "GenerateResponse": (("chunk", "GenerateStreamChunk", 1), ("complete", "GenerateComplete", 2)),
    "OldGenerateResponse": (
        ("request_id", "string", 1),
        ("chunk", "GenerateStreamChunk", 2),
        ("complete", "GenerateComplete", 3),
        ("error", "string", 4),
    ),
    "EmbedRequest": (("request_id", "string", 1), ("tokenized", "TokenizedInput", 2)),
    "EmbedResponse": (("embedding", "float*", 1), ("prompt_tokens", "uint32", 2), ("embedding_dim", "uint32", 3)),
    "EmbedComplete": (("embedding", "float*", 1), ("prompt_tokens", "uint32", 2)),
    "OldEmbedResponse": (("request_id", "string", 1), ("complete", "EmbedComplete", 2)),
    "HttpBody": (("content_type", "string", 1), ("data", "bytes", 2)),
    "RawPredictRequest": (("endpoint", "string", 1), ("http_body", "HttpBody", 2)),
    "UnpackedInput": (("original_text", "string", 1), ("input_ids", "uint32!", 2)),
}
"""name, kind and number of the fields; `*` for repeated, `!` for repeated and not packed"""


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="test_grpc_messages.proto", package="test", syntax="proto3")
    for name, shape in _SHAPES.items():
        message = file.message_type.add(name=name)
        for field, kind, number in shape:
            added = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            plain = kind.rstrip("*!")
            if plain != kind:
                added.label = _FIELD.LABEL_REPEATED
                added.options.packed = kind.endswith("*") and plain != "string"
            added.type = _KINDS.get(plain, _FIELD.TYPE_MESSAGE)
            if plain not in _KINDS:
                added.type_name = f".test.{plain}"
    return file


_POOL: Any = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def of_type(name: str) -> type[Message]:
    """The class of one of the messages above."""
    class_of: Any = message_factory.GetMessageClass
    found: type[Message] = class_of(_POOL.FindMessageTypeByName(f"test.{name}"))
    return found


def encoded(name: str, **values: Any) -> bytes:
    """One message on the wire."""
    message: Any = of_type(name)(**values)
    return bytes(message.SerializeToString())


def framed(message: bytes, compression: Literal["", "gzip", "deflate", "snappy"] = "") -> bytes:
    """One gRPC message as it stands in the body; what is called snappy is nothing that anybody can read."""
    compressions: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "snappy": lambda data: b"\xff\x06" + data[::-1],
    }
    packed = compressions[compression](message)
    return bytes([bool(compression)]) + len(packed).to_bytes(4) + packed


def generate(prompt: str | list[int], *, stream: bool = True, max_tokens: int | None = None) -> bytes:
    """A GenerateRequest on the wire."""
    given: dict[str, Any] = {"text": prompt} if isinstance(prompt, str) else {"tokenized": {"input_ids": prompt}}
    if max_tokens is not None:
        given["sampling_params"] = {"max_tokens": max_tokens}
    return encoded("GenerateRequest", request_id="r-1", stream=stream, **given)


def raw_predict(json: bytes) -> bytes:
    """A request of the PredictionService on the wire."""
    body = {"content_type": "application/json", "data": json}
    return encoded("RawPredictRequest", endpoint="projects/p/locations/l/endpoints/e", http_body=body)
