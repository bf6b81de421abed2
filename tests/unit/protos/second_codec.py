"""The same messages in envoy-data-plane (betterproto2): an independent reading of Envoy's .proto files."""

import dataclasses
import warnings
from datetime import timedelta
from types import ModuleType
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from epp._pb import core_pb2, ext_proc_pb2, http_status_pb2, processing_mode_pb2

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of pydantic, about decorators in the generated classes
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc_filter
    from envoy_data_plane.envoy.service.ext_proc import v3 as ext_proc
    from envoy_data_plane.envoy.type import v3 as envoy_type
    from envoy_data_plane.google import protobuf

ENVOY_FILES = (ext_proc_pb2, core_pb2, processing_mode_pb2, http_status_pb2)
PACKAGES: dict[str, ModuleType] = {
    "envoy.service.ext_proc.v3": ext_proc,
    "envoy.config.core.v3": core,
    "envoy.extensions.filters.http.ext_proc.v3": ext_proc_filter,
    "envoy.type.v3": envoy_type,
    "google.protobuf": protobuf,
}
UNWRAPPED: dict[str, type] = {"google.protobuf.BoolValue": bool, "google.protobuf.Duration": timedelta}
"""what betterproto2 makes of these messages"""
SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
}

MESSAGES: list[Descriptor] = [
    message for file in ENVOY_FILES for message in file.DESCRIPTOR.message_types_by_name.values()
]
ENUMS: list[EnumDescriptor] = [
    *(enum for file in ENVOY_FILES for enum in file.DESCRIPTOR.enum_types_by_name.values()),
    *(enum for message in MESSAGES for enum in message.enum_types),
]


def counterpart(descriptor: Descriptor | EnumDescriptor) -> Any:
    """The class of the second codec; a nested type has its outer type's name in front."""
    package = descriptor.file.package
    path = descriptor.full_name.removeprefix(f"{package}.")
    return getattr(PACKAGES[package], path.replace(".", ""))


def type_of(field: FieldDescriptor) -> Descriptor:
    """The message type of a field that holds messages."""
    assert field.message_type is not None, field.full_name
    return field.message_type


def is_map(field: FieldDescriptor) -> bool:
    """Whether protobuf's encoding of a map: repeated entries of key and value."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def our_class(descriptor: Descriptor) -> type[Message]:
    """The class that the picker uses."""
    return GetMessageClass(descriptor)


def method_paths() -> list[str]:
    """Paths of the methods that the service's stub calls."""
    paths: list[str] = []

    class Channel:
        def stream_stream(self, path: str, *_: object) -> Any:
            paths.append(path)
            return lambda _: ()

    list(ext_proc.ExternalProcessorSyncStub(cast("Any", Channel())).process([]))
    return paths


def fields_of(message: Descriptor) -> dict[str, Any]:
    """FieldMetadata of the second codec by field name."""
    return {field.name: field.metadata["betterproto"] for field in dataclasses.fields(counterpart(message))}


def type_names(message: Descriptor) -> dict[str, Any]:
    """Python types of the second codec by field name."""
    hints: dict[str, Any] = counterpart(message)._type_hints()
    return hints
