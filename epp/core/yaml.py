"""One YAML loader for configuration and objects: plain JSON-like values, the line of everything, limits.

Text means what it means to Kubernetes (sigs.k8s.io/yaml), so that a file works here as it does with kubectl:
- JSON is accepted; several documents may follow one another, empty ones are skipped.
- `yes`, `no`, `on` and `off` are booleans (YAML 1.1), `y` and `n` are strings; `0x1f`, `0o17`, `017` and `1_000` are
  integers, `1e3` is a float. Timestamps, `1:30` and everything else stay strings.
- `.nan`, `.inf` and integers beyond 64 bits have no JSON form and are refused, as are tags other than the JSON types.
- A key that is not a string or that occurs twice is refused. Merge keys (`<<`) are resolved; a mapping's own keys win.

Values that come from an alias are shared: treat a document as read-only.
"""

import re
from typing import Any, TypeVar

import msgspec
import yaml

from epp.core.domain.errors import InvalidInput
from epp.core.yaml_builder import Mark, Path, Step, YamlBuilder, YamlLimits, field_path

__all__ = ["DEFAULT", "Document", "Path", "Step", "YamlLimits", "convert", "field_path", "load_documents", "located"]

T = TypeVar("T")
DEFAULT = YamlLimits()

_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WHERE = re.compile(r"(?P<problem>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[0-9]+)\]|\[\.\.\.\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<wanted>.*)`, got `(?P<got>\w+)`")
_PYTHON_TYPES = {"str": str, "int": int, "float": float, "bool": bool, "array": list, "object": dict}


class Document(msgspec.Struct, frozen=True):
    """One document: dicts with string keys, lists, str, int, float, bool and None."""

    value: object
    source: str
    line: int | None
    """1-based line on which the document begins; None for a document that has no lines"""
    mark: Mark

    @classmethod
    def without_lines(cls, value: object, source: str) -> "Document":
        """A value that was never text in a file."""
        return cls(value, source, None, Mark(None, {}))

    def line_of(self, path: Path) -> int | None:
        """Line of the value at `path` (of its key, within a mapping), or of its nearest known ancestor."""
        mark = self.mark
        for step in path:
            inner = mark.parts.get(step)
            if inner is None:
                break
            mark = inner
        return mark.line

    def value_at(self, path: Path) -> object:
        """The value at `path`; raises KeyError or IndexError when there is none."""
        value: Any = self.value
        for step in path:
            value = value[step]
        return value

    def mistake(self, path: Path, problem: str) -> InvalidInput:
        """The error to raise for something wrong at `path`."""
        return InvalidInput(self.source, problem, line=self.line_of(path), field=field_path(path))


def load_documents(text: str | bytes, source: str, *, limits: YamlLimits = DEFAULT) -> list[Document]:
    """The documents of `text`, which errors call `source`; raises InvalidInput for the first fault."""
    readable = _readable(text, source, limits)
    builder = YamlBuilder(source, limits)
    try:
        for event in yaml.parse(readable, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise _invalid(error, readable, source) from error
    except yaml.reader.ReaderError as error:
        line = readable.encode().count(b"\n", 0, error.position) + 1
        raise InvalidInput(source, f"not valid YAML: {error.reason}", line=line) from error
    return [Document(root.value, source, root.mark.line, root.mark) for root in builder.roots]


def convert(document: Document, type: type[T], path: Path = ()) -> T:  # noqa: A002  the name msgspec.convert has
    """The value at `path` as a `type` (msgspec rules, strict); raises InvalidInput with line and field."""
    value = document.value_at(path)
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        problem, inner = located(error, value)
        raise document.mistake((*path, *inner), problem) from None


def located(error: msgspec.ValidationError, value: object) -> tuple[str, tuple[Step, ...]]:
    """What is wrong with the `value` that msgspec would not convert, and where in it."""
    found = _WHERE.fullmatch(str(error))
    if found is None:
        return str(error), ()
    problem = found["problem"]
    expected = _EXPECTED.fullmatch(problem)
    path = _steps(found["path"] or "", value, expected["got"] if expected and not found["key"] else "")
    if unknown := _UNKNOWN.fullmatch(problem):
        return "unknown field", (*path, unknown[1])
    if missing := _MISSING.fullmatch(problem):
        return f"the required field {missing[1]!r} is missing", path
    if expected:
        wanted, got = expected["wanted"].removesuffix(" | null"), expected["got"]
        advice = "; put it in quotes" if wanted == "str" and got in ("bool", "int", "float") else ""
        return f"expected {wanted}, got {got}{advice}", path
    if problem.startswith("Expected "):
        problem = problem.replace("`", "")
    return problem[:1].lower() + problem[1:], path


def _steps(path: str, value: Any, got: str) -> tuple[Step, ...]:
    """Reads msgspec's path. It writes `[...]` for the values of a dict: the first one that is a `got` is meant."""
    steps: list[Step] = []
    for found in _STEP.finditer(path):
        step: Step | None = int(found["index"]) if found["index"] else found["name"]
        if step is None and found.end() == len(path):
            step = next((key for key, entry in value.items() if type(entry) is _PYTHON_TYPES.get(got)), None)
        if step is None:
            break
        steps.append(step)
        value = value[step]
    return tuple(steps)


def _invalid(error: yaml.MarkedYAMLError, text: str, source: str) -> InvalidInput:
    mark, began = error.problem_mark or error.context_mark, error.context_mark
    line = None if mark is None else min(mark.line, text.rstrip("\n").count("\n")) + 1
    problem = f"not valid YAML: {error.problem}"
    if error.context:
        problem += f", {error.context}"
        if began is not None and began.line + 1 != line:
            problem += f" that begins on line {began.line + 1}"
    return InvalidInput(source, problem, line=line)


def _readable(text: str | bytes, source: str, limits: YamlLimits) -> str:
    try:
        raw = text if isinstance(text, bytes) else text.encode()
        if len(raw) > limits.text_bytes:
            raise InvalidInput(source, f"longer than {limits.text_bytes} bytes")
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(source, f"not UTF-8: byte {error.object[error.start]:#04x}", line=line) from error
    except UnicodeEncodeError as error:
        line = error.object.count("\n", 0, error.start) + 1
        raise InvalidInput(source, "half of a surrogate pair", line=line) from error
    if text.lstrip().startswith(("{", "[")):  # JSON writes characters above U+FFFF as two escapes, YAML as one
        text = _SURROGATES.sub(_one_escape, text)
    return text


def _one_escape(found: re.Match[str]) -> str:
    high, low = int(found[2], 16), int(found[3], 16)
    return f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
