"""Builds plain values from YAML parser events, and remembers on which line everything was written.

The stack is explicit and everything that an alias repeats is counted, so hostile nesting and "billion laughs" are
refused early.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec
import yaml

from epp.core.domain.errors import InvalidInput
from epp.core.yaml_scalars import TAG, plain_value, tagged_value

Step = str | int
Path = Sequence[Step]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class YamlLimits(msgspec.Struct, frozen=True):
    """What a text may cost before it is refused."""

    text_bytes: int = 4 * 1024 * 1024
    depth: int = 100
    """nested mappings and lists, aliases expanded"""
    alias_nodes: int = 100_000
    """values that aliases add to one text when they are expanded"""


class Mark(msgspec.Struct, frozen=True):
    """Where a value was written: the 1-based line (of the key, within a mapping) and the marks of what it contains.

    None where nobody wrote lines, as in what an API server sends.
    """

    line: int | None
    parts: "dict[Step, Mark]"


class Root(msgspec.Struct, frozen=True):
    """The content of one document; `mark.line` is its first line."""

    value: object
    mark: Mark


class Part(msgspec.Struct):
    """A finished value; `nodes` and `height` count it with everything inside, aliases expanded."""

    value: object
    line: int
    marks: dict[Step, Mark]
    nodes: int = 1
    height: int = 0
    is_merge: bool = False
    """a plain `<<`, which merges when it is a key"""


class Unfinished(msgspec.Struct):
    """A mapping or list whose end has not been seen."""

    line: int
    anchor: str | None
    value: dict[str, object] | list[object]
    marks: dict[Step, Mark]
    merges: list[tuple[dict[str, object], dict[Step, Mark]]]
    nodes: int = 1
    height: int = 1
    key: Part | None = None

    @property
    def step(self) -> Step | None:
        """Where the next value goes; None while a key is awaited."""
        if isinstance(self.value, list):
            return len(self.value)
        return None if self.key is None else str(self.key.value)


def field_path(path: Path) -> str:
    """`spec.targetPorts[0].number`; keys that are no plain words are quoted: `metadata.labels["app.io/name"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


class YamlBuilder:
    """Takes events, leaves `roots`; raises InvalidInput."""

    def __init__(self, source: str, limits: YamlLimits) -> None:
        self.roots: list[Root] = []
        self._source = source
        self._limits = limits
        self._open: list[Unfinished] = []
        self._anchors: dict[str, Part | None] = {}
        """None while the anchored value is still open"""
        self._alias_nodes = 0

    def take(self, event: yaml.Event) -> None:
        """The next event of the parser."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.ScalarEvent):
            self._finish(self._scalar(event, line), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            self._finish(self._alias(str(event.anchor), line), None)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            if isinstance(closed.value, dict):
                _merge(closed.value, closed)
            self._finish(Part(closed.value, closed.line, closed.marks, closed.nodes, closed.height), closed.anchor)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", TAG + ("map" if is_mapping else "seq")):
            raise self._fault(f"the tag {event.tag!r} is not supported", line)
        if len(self._open) >= self._limits.depth:
            raise self._too_deep(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(Unfinished(line, event.anchor, {} if is_mapping else [], {}, []))

    def _finish(self, part: Part, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = part
        if not self._open:
            if part.value is not None:
                self.roots.append(Root(part.value, Mark(part.line, part.marks)))
            return
        top = self._open[-1]
        top.nodes += part.nodes
        top.height = max(top.height, part.height + 1)
        if isinstance(top.value, list):
            top.marks[len(top.value)] = Mark(part.line, part.marks)
            top.value.append(part.value)
        elif top.key is None:
            top.key = self._checked_key(part, top)
        elif top.key.is_merge:
            top.merges.extend(self._mergeable(part))
            top.key = None
        else:
            key = str(top.key.value)
            top.value[key] = part.value
            top.marks[key] = Mark(top.key.line, part.marks)
            top.key = None

    def _checked_key(self, part: Part, top: Unfinished) -> Part:
        key = part.value
        if not isinstance(key, str):
            shown = "a mapping or list" if isinstance(key, dict | list) else msgspec.json.encode(key).decode()
            raise self._fault(f"the key is {shown}, not a string; put it in quotes", part.line)
        if key in top.marks and not part.is_merge:
            lines = f"lines {top.marks[key].line} and {part.line}"
            raise self._fault(f"the key occurs twice, on {lines}", part.line, key)
        return part

    def _mergeable(self, part: Part) -> Iterator[tuple[dict[str, object], dict[Step, Mark]]]:
        """The mappings that a `<<` names, the one that wins first."""
        if isinstance(part.value, list):
            pairs = [(value, part.marks[index].parts) for index, value in enumerate(part.value)]
        else:
            pairs = [(part.value, part.marks)]
        for value, marks in pairs:
            if not isinstance(value, dict):
                raise self._fault("a merge key takes a mapping or a list of mappings", part.line)
            yield value, marks

    def _alias(self, anchor: str, line: int) -> Part:
        part = self._anchors.get(anchor)
        if part is None:
            problem = "refers to a value that contains it" if anchor in self._anchors else "has no anchor before it"
            raise self._fault(f"the alias *{anchor} {problem}", line)
        self._alias_nodes += part.nodes
        if self._alias_nodes > self._limits.alias_nodes:
            raise self._fault(f"aliases expand to more than {self._limits.alias_nodes} values", line)
        if len(self._open) + part.height > self._limits.depth:
            raise self._too_deep(line)
        return Part(part.value, line, part.marks, part.nodes, part.height)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Part:
        text: str = event.value
        is_plain = event.tag is None and event.implicit[0]
        try:
            if event.tag is not None:
                return Part(tagged_value(text, event.tag), line, {})
            return Part(plain_value(text) if is_plain else text, line, {}, is_merge=is_plain and text == "<<")
        except ValueError as error:
            raise self._fault(str(error), line) from None

    def _too_deep(self, line: int) -> InvalidInput:
        return InvalidInput(self._source, f"nested deeper than {self._limits.depth} levels", line=line)

    def _fault(self, problem: str, line: int, *more: Step) -> InvalidInput:
        path = [step for step in (frame.step for frame in self._open) if step is not None]
        return InvalidInput(self._source, problem, line=line, field=field_path([*path, *more]))


def _merge(value: dict[str, object], closed: Unfinished) -> None:
    """Adds what `<<` names; the mapping's own keys win, then the earlier mapping."""
    for merged, marks in closed.merges:
        for key, inherited in merged.items():
            if key not in value:
                value[key] = inherited
                closed.marks[key] = marks[key]
