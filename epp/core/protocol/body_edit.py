"""Edits of a request body that leave every other byte of every value as the client wrote it."""

import msgspec

from epp.core.domain.errors import BadRequest

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def without_field(data: bytes | memoryview, field: str) -> bytes:
    """The JSON object `data` without one top-level field; white space between members is not kept.

    `data` was read before, so that it is an object; raises BadRequest where a name in it is not UTF-8.
    """
    try:
        members = _decode_members(data)
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"error unmarshaling request bodyMap: a field name is not UTF-8: {error}",
            hint="the body must be a JSON object in UTF-8",
        ) from error
    members.pop(field, None)
    return _encode(members)
