"""Random messages survive the way from our codec (upb) to the second one (betterproto2) and back, both ways."""

from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epp._pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from tests.unit.protos.second_codec import counterpart, is_map, our_class, type_of

# betterproto2 warns of fields that Envoy has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")

texts = st.text(st.characters(codec="utf-8"), max_size=5)
numbers = st.floats(allow_nan=False)
scalars: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    # nanoseconds and seconds of a duration, within what betterproto2's timedelta and floats can hold
    FieldDescriptor.TYPE_INT32: st.integers(0, 999_999).map(lambda us: us * 1000),
    FieldDescriptor.TYPE_INT64: st.integers(0, 1_000_000),
    FieldDescriptor.TYPE_DOUBLE: numbers,
}
MOST_DEPTH = 7


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """A message of this type with some of its fields; at most one of each oneof."""
    message = our_class(descriptor)()
    fields = st.sampled_from(list(descriptor.fields))
    chosen = draw(st.lists(fields, unique_by=lambda field: field.number, max_size=4))
    for field in chosen:
        if field.message_type is not None and depth >= MOST_DEPTH:
            continue
        fill(draw, message, field, depth)
    return message


def fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    """Sets one field to something."""
    target = getattr(message, field.name)
    if is_map(field):
        value = type_of(type_of(field).fields_by_name["value"])
        for key in draw(st.lists(texts, max_size=2)):
            target[key].CopyFrom(draw(messages(value, depth + 1)))
    elif field.is_repeated and field.message_type is not None:
        target.extend(draw(st.lists(messages(field.message_type, depth + 1), max_size=2)))
    elif field.is_repeated:
        target.extend(draw(st.lists(scalars[field.type], max_size=2)))
    elif field.message_type is not None:
        target.CopyFrom(draw(messages(field.message_type, depth + 1)))
        target.SetInParent()
    elif field.enum_type is not None:
        setattr(message, field.name, draw(enum_numbers(field)))
    else:
        setattr(message, field.name, draw(scalars[field.type]))


def enum_numbers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    """A number of the enum; an HTTP status may be any."""
    assert field.enum_type is not None
    if field.enum_type.name == "StatusCode":
        return st.integers(0, 599)
    return st.sampled_from([value.number for value in field.enum_type.values])


@pytest.mark.parametrize("ours", [ProcessingRequest, ProcessingResponse], ids=lambda ours: ours.DESCRIPTOR.name)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_there_and_back(ours: type[Message], data: st.DataObject) -> None:
    descriptor = cast("Descriptor", ours.DESCRIPTOR)
    message = data.draw(messages(descriptor))
    theirs = counterpart(descriptor)

    there = theirs.parse(message.SerializeToString())
    back = ours.FromString(bytes(there))

    assert back == message
    assert theirs.parse(back.SerializeToString()) == there
