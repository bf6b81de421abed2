"""Reading a JSON body once: typed structs of raw fields, and what may be made of a raw field.

Lenient where model servers are: an optional field of another type than expected is left for the model server to
judge. Strict where the reference is: the body is a JSON object, required fields are there.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
import numpy as np

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import Prompt, PromptKind
from epp.core.protocol.apis.long_strings import decoded

MISSING: Final = msgspec.Raw()
TOKEN_ID_LIMIT: Final = 2**32
MOST_DIGITS: Final = 18
LARGEST_INTEGER: Final = 10**MOST_DIGITS - 1
Data = bytes | memoryview
Fields = TypeVar("Fields", bound=msgspec.Struct)

_decode_text = msgspec.json.Decoder(str).decode
_decode_token_ids = msgspec.json.Decoder(list[int]).decode
_decode_token_id_lists = msgspec.json.Decoder(list[list[int]]).decode


def read_object(decode: Callable[[Data], Fields], data: Data) -> Fields:
    """The fields of a JSON object; raises BadRequest with the reference's text."""
    if not data:
        raise BadRequest("error unmarshaling request bodyMap: the body is empty", hint="send a JSON object")
    try:
        return decoded(decode, data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"error unmarshaling request bodyMap: {error}", hint="the body must be a JSON object"
        ) from error
    except RecursionError as error:
        raise BadRequest(
            "error unmarshaling request bodyMap: nested too deeply", hint="the body must be a JSON object of sane depth"
        ) from error


def text_of(raw: msgspec.Raw) -> str:
    """A JSON string, empty for anything else."""
    if bytes(memoryview(raw)[:1]) != b'"':
        return ""
    try:
        return _decode_text(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a lone surrogate, bytes that are not UTF-8: no name
        return ""


def integer_of(raw: msgspec.Raw) -> int | None:
    """A JSON integer of at most 18 digits, None for anything else."""
    text = bytes(memoryview(raw)[:20])
    digits = text.removeprefix(b"-")
    return int(text) if digits.isdigit() and len(digits) <= MOST_DIGITS else None


def of_sane_size(number: int | None) -> int | None:
    """The number if it has at most 18 digits, else None."""
    return number if number is None or -LARGEST_INTEGER <= number <= LARGEST_INTEGER else None


def is_true(raw: msgspec.Raw) -> bool:
    """Whether the field is the literal `true`."""
    return bytes(raw) == b"true"


def is_filled_list(raw: msgspec.Raw) -> bool:
    """A list with at least one element."""
    view = memoryview(raw)
    head = bytes(view[:2])
    return head == b"[{" or (head[:1] == b"[" and _first_inside(view) != b"]")


def text_or_tokens(raw: msgspec.Raw, api: str, field: str) -> Prompt:
    """A string, a list of strings, or token ids; raises BadRequest for anything else and for nothing.

    `api` and `field` are the words of the reference's message: `invalid <api> request: must have <field> field`.
    """
    view = memoryview(raw)
    first = bytes(view[:1])
    if first == b'"' and len(view) > len(b'""'):
        return Prompt(PromptKind.TEXT, view)
    inner = _first_inside(view) if first == b"[" else b""
    if inner == b'"':
        return Prompt(PromptKind.TEXT, view)
    if inner == b"[" or inner.isdigit():
        return Prompt(PromptKind.TOKEN_IDS, token_ids(raw, api, field, nested=inner == b"["))
    raise BadRequest(
        f"invalid {api} request: must have {field} field",
        hint=f'"{field}" must be a string, a list of strings, or token ids',
        param=field,
    )


def token_ids(raw: msgspec.Raw, api: str, field: str, *, nested: bool = False) -> bytes:
    """Token ids as little-endian uint32, several prompts one after the other; raises BadRequest."""
    try:
        if nested:
            ids = [token for prompt in _decode_token_id_lists(raw) for token in prompt]
        else:
            ids = _decode_token_ids(raw)
        return np.array(ids, dtype="<u4").tobytes()
    except (msgspec.MsgspecError, OverflowError) as error:
        raise BadRequest(
            f"invalid {api} request: must have {field} field: {error}",
            hint=f'token ids in "{field}" must be integers from 0 to {TOKEN_ID_LIMIT - 1}',
            param=field,
        ) from error


def joined(*parts: msgspec.Raw) -> Prompt:
    """One text of several fields in the order in which a model server sees them; no copy where only one is given."""
    given = [memoryview(part) for part in parts if part is not MISSING and memoryview(part)]
    return Prompt(PromptKind.TEXT, given[0] if len(given) == 1 else b"\n".join(given))


def _first_inside(array: memoryview) -> bytes:
    """The first byte after the bracket that is not white space."""
    start = 1
    while not (window := bytes(array[start : start + 64]).lstrip()):
        start += 64
    return window[:1]
