"""One object within a document, and the rules that objects of every kind share.

Source: Kubernetes API conventions; syntax of names and labels as in k8s.io/apimachinery.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from epp.core.domain.errors import InvalidInput
from epp.core.yaml import Document, Path, convert

T = TypeVar("T")
Raw = bytes | msgspec.Raw
_NO_DOCUMENT = Document.without_lines(None, "")

LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_DNS_LABEL)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
MOST_NAME_CHARACTERS = 253


class Origin(msgspec.Struct, frozen=True):
    """Where an object was written; `line` is None for one that an API server has."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of `metadata`; everything else there is passed over."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    deletion_timestamp: str = ""


class Manifest:
    """An object: the value at `path` of a document whose nulls were taken out."""

    def __init__(self, document: Document, path: tuple[str | int, ...], default_namespace: str) -> None:
        self._document = document
        self.path = path
        self.default_namespace = default_namespace

    @property
    def document(self) -> Document:
        """What the object is a part of."""
        return self._document

    @property
    def origin(self) -> Origin:
        """File and line."""
        return Origin(self.document.source, self.document.line_of(self.path))

    def read(self, type_: type[T]) -> T:
        """The object as a `type_`; raises InvalidInput with line and field."""
        return convert(self.document, type_, self.path)

    def mistake(self, path: Path, problem: str) -> InvalidInput:
        """The error to raise for something wrong at `path` within the object."""
        return self.document.mistake((*self.path, *path), problem)

    def line_of(self, path: Path) -> int | None:
        """Line of `path` within the object."""
        return self.document.line_of((*self.path, *path))

    def name_of(self, metadata: Metadata) -> tuple[str, str]:
        """Namespace and name, checked; raises InvalidInput."""
        if not metadata.name:
            raise self.mistake(("metadata",), "name is missing")
        if not is_name(metadata.name):
            raise self.mistake(
                ("metadata", "name"),
                f"{metadata.name!r} is not a name: lower-case letters, digits, '-' and '.', at most 253 characters",
            )
        namespace = metadata.namespace or self.default_namespace
        if not _NAMESPACE.fullmatch(namespace):
            raise self.mistake(
                ("metadata", "namespace"),
                f"{namespace!r} is not a namespace: lower-case letters, digits and '-', at most 63 characters",
            )
        return namespace, metadata.name

    def check_choice(self, path: Path, value: str, choices: tuple[str, ...]) -> None:
        """Raises InvalidInput unless `value` is one of `choices`."""
        if value not in choices:
            raise self.mistake(path, f"{value!r} is not one of {', '.join(choices)}")

    def check_port(self, path: Path, port: int) -> None:
        """Raises InvalidInput unless `port` is a port number."""
        if not 1 <= port <= 65535:
            raise self.mistake(path, f"{port} is not a port: 1 to 65535")

    def check_labels(self, path: Path, labels: Mapping[str, str]) -> None:
        """Raises InvalidInput for a key or value that no label can have."""
        for key, value in labels.items():
            if not _is_label_key(key):
                raise self.mistake(
                    (*path, key), f"{key!r} is not a label key: [prefix/]name, name at most 63 characters"
                )
            if not LABEL_VALUE.fullmatch(value):
                raise self.mistake(
                    (*path, key),
                    f"{value!r} is not a label value: at most 63 letters, digits, '-', '_' and '.', "
                    "with a letter or digit at both ends",
                )

    def unknown_fields(self, shape: type[msgspec.Struct], field: str) -> Iterator[tuple[str | int, ...]]:
        """Paths below `field` that `shape` does not know."""
        value: Any = self.document.value_at(self.path)
        yield from _unknown(value.get(field), shape, (field,))


class RawManifest(Manifest):
    """An object as an API server sends it: JSON, read straight into the wanted type.

    Only where that fails it is taken apart, to say where the fault is, and without its nulls.
    """

    def __init__(self, raw: Raw, source: str, default_namespace: str) -> None:
        """`source` is what errors call the object."""
        super().__init__(_NO_DOCUMENT, (), default_namespace)
        self._raw = raw
        self._source = source

    @property
    def document(self) -> Document:
        """The object on its own."""
        if self._document is _NO_DOCUMENT:
            self._document = without_nulls(Document.without_lines(msgspec.json.decode(self._raw), self._source))
        return self._document

    @property
    def origin(self) -> Origin:
        """What the object is called."""
        return Origin(self._source)

    def read(self, type_: type[T]) -> T:
        """The object as a `type_`; raises InvalidInput with the field."""
        try:
            return msgspec.json.decode(self._raw, type=type_)
        except msgspec.ValidationError:
            return super().read(type_)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(self._source, f"not valid JSON: {error}") from error


def is_name(text: str) -> bool:
    """Whether an object may be called that (RFC 1123 subdomain)."""
    return len(text) <= MOST_NAME_CHARACTERS and _NAME.fullmatch(text) is not None


def without_nulls(document: Document) -> Document:
    """A field that is null is a field that is not set, as for the Kubernetes API."""
    return msgspec.structs.replace(document, value=_without_nulls(document.value))


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _is_label_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return _LABEL_NAME.fullmatch(name) is not None and (is_name(prefix) if slash else True)


def _unknown(
    value: object, shape: type[msgspec.Struct], path: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unknown(inner, shape, (*path, index))
    if not isinstance(value, dict):
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    for key, inner in value.items():
        if key not in fields:
            yield (*path, key)
            continue
        for part in (fields[key], *get_args(fields[key])):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from _unknown(inner, part, (*path, key))
