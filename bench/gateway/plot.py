"""The plot of docs/performance.md: CPU per request of picker and Envoy by the size of the prompt, as SVG.

Both axes are logarithmic. A point is a case; the lines of one gateway have one colour, Envoy's is dashed.
"""

import math
from collections.abc import Sequence
from html import escape

import msgspec

from bench.gateway.cases import GRPCIO, GRPCIO_DUPLEX, NATIVE, NATIVE_DUPLEX
from bench.gateway.findings import Findings

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 218, 44, 48
LABEL_STEP = 15
STYLE = "font-family:sans-serif;font-size:12px;fill:#333"


class Line(msgspec.Struct, frozen=True):
    """Points are (prompt bytes, milliseconds), ascending and above 0."""

    label: str
    color: str
    points: tuple[tuple[float, float], ...]
    is_dashed: bool = False


def lines_of(findings: Findings) -> list[Line]:
    """Pickers over both transports and in both body modes, and Envoy beside the best of them; what was measured."""
    pickers = (
        (GRPCIO, "#b35900"),
        (GRPCIO_DUPLEX, "#e0a030"),
        (NATIVE, "#00539c"),
        (NATIVE_DUPLEX, "#4f9bd9"),
    )
    lines = [
        Line(f"picker, {variant.name}", color, _points(findings, variant.name, "epp_ms")) for variant, color in pickers
    ]
    beside = NATIVE if findings.find("saturation", NATIVE.name, "0.8 KB") else GRPCIO
    lines.append(Line(f"Envoy, with {beside.name}", "#666666", _points(findings, beside.name, "envoy_ms"), True))
    return [line for line in lines if len(line.points) > 1]


def _points(findings: Findings, variant: str, figure: str) -> tuple[tuple[float, float], ...]:
    found = [
        (float(each.prompt_bytes), float(getattr(each, figure)))
        for each in findings.findings
        if each.kind == "saturation" and each.variant == variant and "streamed" not in each.body
    ]
    return tuple(sorted(point for point in found if point[1] > 0))


def draw(lines: Sequence[Line]) -> str:
    """The picture; raises ValueError without any line."""
    if not lines:
        raise ValueError("no gateway was measured with two sizes of prompts, so there is nothing to draw")
    points = [point for line in lines for point in line.points]
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(LEFT, 24, "CPU per request in milliseconds, by the size of the prompt", weight="bold"),
        *_grid(across, up, sorted({x for x, _ in points})),
        *(_path(line, across, up) for line in lines),
        *_labels(lines, up),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Axis:
    """Logarithmic, from values to pixels, with some room at both ends."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.lowest, self.highest = min(values) / 1.3, max(values) * 1.3
        self._begin = begin
        self._scale = (end - begin) / (math.log(self.highest) - math.log(self.lowest))

    def at(self, value: float) -> float:
        return self._begin + (math.log(value) - math.log(self.lowest)) * self._scale

    def marks(self) -> list[float]:
        """1, 2 and 5 of every decade."""
        decades = range(math.floor(math.log10(self.lowest)), math.ceil(math.log10(self.highest)) + 1)
        marks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [mark for mark in marks if self.lowest <= mark <= self.highest]


def _grid(across: _Axis, up: _Axis, sizes: Sequence[float]) -> list[str]:
    left, right, bottom = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for mark in up.marks():
        y = up.at(mark)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(_text(left - 8, y + 4, f"{mark:g}", anchor="end"))
    for size in sizes:
        parts.append(
            f'<line x1="{across.at(size):.1f}" y1="{TOP}" x2="{across.at(size):.1f}" y2="{bottom}" stroke="#eeeeee"/>'
        )
        parts.append(_text(across.at(size), bottom + 18, _size(size), anchor="middle"))
    return parts


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:g} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:g} KB"


def _path(line: Line, across: _Axis, up: _Axis) -> str:
    spots = [(across.at(x), up.at(y)) for x, y in line.points]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.color}"/>' for x, y in spots)
    return f'<polyline points="{drawn}" fill="none" stroke="{line.color}" stroke-width="2"{dash}/>{dots}'


def _labels(lines: Sequence[Line], up: _Axis) -> list[str]:
    """Each beside the end of its line, moved down where it would cover another one."""
    parts = []
    lowest = -math.inf
    for line in sorted(lines, key=lambda each: up.at(each.points[-1][1])):
        y = max(up.at(line.points[-1][1]) + 4, lowest + LABEL_STEP)
        lowest = y
        parts.append(_text(WIDTH - RIGHT + 10, y, line.label, color=line.color))
    return parts


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", color: str = "") -> str:
    style = f"{STYLE};font-weight:{weight}" + (f";fill:{color}" if color else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="{style}">{escape(text)}</text>'
