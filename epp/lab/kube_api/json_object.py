"""API objects as they are kept here: decoded JSON. An object that has been stored is never changed, only replaced."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def metadata_of(value: Mapping[str, Any]) -> Json:
    """The object's metadata, {} where there is none or where it is no object."""
    found = value.get("metadata")
    return found if isinstance(found, dict) else {}


def labels_of(value: Mapping[str, Any]) -> dict[str, str]:
    """The object's labels, {} where there are none."""
    return metadata_of(value).get("labels") or {}


def with_metadata(value: Mapping[str, Any], **fields: Any) -> Json:
    """A copy with these fields of its metadata set; None removes one."""
    metadata = {**metadata_of(value), **fields}
    return {**value, "metadata": {name: field for name, field in metadata.items() if field is not None}}


def dig(value: Any, *path: str) -> Any:
    """What lies below a path of keys, None where a step is missing."""
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value
