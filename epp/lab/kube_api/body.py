"""Bodies of requests: JSON or YAML to an object, with the keys that occur twice."""

import json
from typing import Any

from epp.core.domain.errors import InvalidInput
from epp.core.yaml import load_documents
from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.patches import APPLY_PATCH
from epp.lab.kube_api.protobuf_body import PROTOBUF_TYPE, read_protobuf
from epp.lab.kube_api.status import bad_request, unsupported_media_type

MOST_BYTES = 3 * 1024 * 1024
JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
READABLE = (JSON_TYPE, YAML_TYPE)


class _Pairs(dict[str, Any]):
    """A JSON object that remembers the keys that came twice; the last one counts."""

    twice: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> "_Pairs":
        found = cls(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            found.twice = tuple(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return found


def read_json(raw: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value, and `duplicate field "a.b"` for each key that came twice; raises ApiError 400."""
    try:
        value = json.loads(raw, object_pairs_hook=_Pairs.of)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    twice: list[str] = []
    return _plain(value, "", twice), tuple(f'duplicate field "{path}"' for path in dict.fromkeys(twice))


def _plain(value: Any, path: str, twice: list[str]) -> Any:
    """Plain dicts, and the paths of keys that came twice."""
    if isinstance(value, _Pairs):
        twice += [f"{path}.{name}".lstrip(".") for name in value.twice]
        return {name: _plain(part, f"{path}.{name}", twice) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part, f"{path}[{index}]", twice) for index, part in enumerate(value)]
    return value


def read_object(raw: bytes, content_type: str) -> tuple[Json, tuple[str, ...]]:
    """The object of a body and its duplicate fields; raises ApiError 400 or 415."""
    if content_type == PROTOBUF_TYPE:
        return read_protobuf(raw), ()
    if content_type not in ("", *READABLE, APPLY_PATCH):
        raise unsupported_media_type([*READABLE, PROTOBUF_TYPE])
    if content_type in (YAML_TYPE, APPLY_PATCH) and not raw.lstrip().startswith(b"{"):
        return _read_yaml(raw), ()
    value, twice = read_json(raw)
    if not isinstance(value, dict):
        raise bad_request("couldn't get version/kind; json parse error: the body is no JSON object")
    return value, twice


def _read_yaml(raw: bytes) -> Json:
    try:
        documents = load_documents(raw, "body")
    except InvalidInput as error:
        raise bad_request(f"error decoding YAML: {error}") from error
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise bad_request("error decoding YAML: the body is not one object")
    return json.loads(json.dumps(documents[0].value))  # type: ignore[no-any-return]  # aliases share values, JSON does not
