"""Single series of a Prometheus text page, found without parsing the rest of the page.

A vLLM page has hundreds of lines and the picker needs six of them, so names are searched as bytes at line starts.
Values that are not finite decimal numbers are passed over, as are lines that are no samples: a page is never an error.
Source: Prometheus exposition formats, text format 0.0.4.
"""

import math
import re
from collections.abc import Iterator

import msgspec

from epp.core.domain.errors import InvalidInput

_SAMPLE = re.compile(
    rb'[ \t]*(?:\{((?:[^"}\n]++|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*")*)\}[ \t]*)?([-+0-9.eE]{1,40})(?=[ \t\r\n]|\Z)'
)
_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\\n]*+(?:\\.[^"\\\n]*+)*)"')
_NAME_ENDS = (b"{", b" ", b"\t")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n"}
_SPEC = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>[^{}]*)\})?")
_SPEC_LABEL = re.compile(r'\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*(?P<quote>"?)(?P<value>[^",]*)(?P=quote)\s*')


class MetricSpec(msgspec.Struct, frozen=True):
    """Which series are meant: those of `name` that have all of `labels`."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """One series as the page has it."""

    label_text: bytes
    """what stands between the braces, empty without them"""
    value: float

    @property
    def labels(self) -> dict[str, str]:
        """The labels with their escapes resolved."""
        return {
            name.decode(): _ESCAPE.sub(_unescaped, value.decode("utf-8", "replace"))
            for name, value in _LABEL.findall(self.label_text)
        }


def parse_metric_spec(text: str, source: str) -> MetricSpec:
    """`name` or `name{label=value,...}` (values may be quoted) of the flag or field `source`; raises InvalidInput."""
    found = _SPEC.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(source, f"{text!r} is not a metric: expected name or name{{label=value,...}}")
    labels = []
    for part in (found["labels"] or "").split(","):
        label = _SPEC_LABEL.fullmatch(part)
        if label is not None:
            labels.append((label["name"], label["value"]))
        elif part.strip():
            raise InvalidInput(source, f"{part.strip()!r} in {text!r} is not label=value")
    return MetricSpec(found["name"], tuple(labels))


def samples(page: bytes, spec: MetricSpec) -> Iterator[Sample]:
    """The samples of `spec`, the last line of the page first.

    The lines of a metric stand together (the format demands it), so the search ends before the first group. It runs
    backwards because CPython's rfind takes a third of find's time on such pages (3 us, not 11 us, for 50 KB).
    """
    name = spec.name.encode()
    line_start = _last_sample_of(page, name)
    while line_start >= 0:
        sample = _SAMPLE.match(page, line_start + len(name))
        if sample is not None:
            found = Sample(sample[1] or b"", _number(sample[2]))
            if math.isfinite(found.value) and _has_labels(found, spec):
                yield found
        if not line_start:
            return
        line_start = page.rfind(b"\n", 0, line_start - 1) + 1
        if not _is_sample_of(page, name, line_start):
            return


def _last_sample_of(page: bytes, name: bytes) -> int:
    """Start of the last line that is a sample of `name`; -1 when there is none."""
    found = page.rfind(b"\n" + name)
    while found >= 0:
        if _is_sample_of(page, name, found + 1):
            return found + 1
        found = page.rfind(b"\n" + name, 0, found)
    return 0 if _is_sample_of(page, name, 0) else -1


def _is_sample_of(page: bytes, name: bytes, line_start: int) -> bool:
    """Whether the line begins with exactly this name, not just with a longer one."""
    end = line_start + len(name)
    return page.startswith(name, line_start) and page[end : end + 1] in _NAME_ENDS


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _has_labels(sample: Sample, spec: MetricSpec) -> bool:
    if not spec.labels:
        return True
    labels = sample.labels
    return all(labels.get(name) == value for name, value in spec.labels)


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[1])
