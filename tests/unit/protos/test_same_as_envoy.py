"""Our hand-written subset against envoy-data-plane: every message, number, type, oneof and enum."""

import typing
from types import NoneType
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from epp.edge.extproc.transport import SERVICE
from tests.unit.protos.second_codec import (
    ENUMS,
    MESSAGES,
    SCALARS,
    UNWRAPPED,
    counterpart,
    fields_of,
    is_map,
    method_paths,
    type_names,
    type_of,
)

by_name = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)


@by_name
def test_numbers_and_names_of_fields(message: Descriptor) -> None:
    """All of them, so that nothing that Envoy sends is an unknown field."""
    ours = {field.name: field.number for field in message.fields}
    assert ours == {name: metadata.number for name, metadata in fields_of(message).items()}


@by_name
def test_types_of_fields(message: Descriptor) -> None:
    theirs = fields_of(message)
    for field in message.fields:
        metadata = theirs[field.name]
        if is_map(field):
            assert metadata.proto_type == "map"
            key, value = metadata.map_meta
            entry = type_of(field).fields_by_name
            assert (key.proto_type, value.proto_type) == (SCALARS[entry["key"].type], SCALARS[entry["value"].type])
        else:
            assert metadata.proto_type == SCALARS[field.type], field.full_name
            assert metadata.repeated is field.is_repeated, field.full_name


@by_name
def test_fields_hold_the_same_messages_and_enums(message: Descriptor) -> None:
    hints = type_names(message)
    for field in message.fields:
        if is_map(field):
            held = type_of(type_of(field).fields_by_name["value"])
            assert typing.get_args(hints[field.name])[1] is counterpart(held), field.full_name
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            held = type_of(field)
            expected = UNWRAPPED.get(held.full_name) or counterpart(held)
            assert bare(hints[field.name]) is expected, field.full_name
        elif field.enum_type is not None:
            assert bare(hints[field.name]) is counterpart(field.enum_type), field.full_name


@by_name
def test_oneofs(message: Descriptor) -> None:
    theirs = fields_of(message)
    for field in message.fields:
        oneof = field.containing_oneof
        assert (oneof.name if oneof else None) == theirs[field.name].group, field.full_name


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_enums(enum: EnumDescriptor) -> None:
    ours = {value.name: value.number for value in enum.values}
    theirs = {value.name: value.value for value in counterpart(enum)}
    if enum.name == "StatusCode":
        theirs = {name: number for name, number in theirs.items() if name in ours}
    assert ours == theirs


def test_the_name_of_the_method() -> None:
    assert method_paths() == [f"/{SERVICE}/Process"]


def bare(hint: Any) -> Any:
    """`X` of `X`, `X | None`, `list[X]`."""
    inner = [argument for argument in typing.get_args(hint) if argument is not NoneType]
    return inner[0] if inner else hint
