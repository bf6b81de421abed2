"""Findings as tables in Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from bench.gateway.cases import NO_PICKER
from bench.gateway.findings import Finding, Findings
from bench.gateway.targets import MIB, targets

Row = Sequence[str]


def all_tables(findings: Findings) -> str:
    """Everything between the markers of docs/performance.md."""
    machine = findings.machine
    memory_gib = machine.memory_bytes / (1 << 30)
    where = (
        f"Measured {machine.date} UTC on {machine.cpu}, {machine.cores} cores, {memory_gib:.0f} GiB, with Python "
        f"{machine.python} and Envoy {machine.envoy}; the picker {'' if machine.is_compiled else 'not '}compiled"
        f"{', in a quick run' if findings.quick else ''}."
    )
    parts = [where, *(f"### {title}\n\n{table}" for title, table in _tables(findings) if table)]
    return "\n\n".join(parts) + "\n"


def _tables(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "Targets", target_table(findings)
    yield "CPU per request, closed loop", cpu_table(findings.findings)
    yield "Added latency, open loop", latency_table(findings.findings)
    yield "Overload", overload_table(findings.findings)
    yield "Left alone", rest_table(findings.findings)
    yield "Single steps", step_table(findings)
    yield (
        "Not measured",
        table(("gateway", "", "why"), ((each.variant, each.kind, each.reason) for each in findings.missing)),
    )
    yield "Problems", "\n".join(f"- {problem}" for problem in findings.problems)


def target_table(findings: Findings) -> str:
    """Met or missed."""
    rows = []
    for each in targets(findings):
        value = "" if each.value is None else f"{each.value:.3g}"
        bound = f"{'at least' if each.is_least else 'at most'} {each.limit:.3g} {each.unit}".strip()
        rows.append((each.what, value, bound, each.verdict))
    return table(("what", "measured", "target", ""), rows)


def cpu_table(findings: Sequence[Finding]) -> str:
    """Closed loops, a block for each body."""
    rows = [
        (
            each.body,
            each.variant,
            f"{each.load.per_s:,.0f}",
            _ms(each.epp_ms),
            _ms(each.envoy_ms),
            f"{each.ratio:.2f}" if each.epp_ms else "",
            _mib(each.rss_bytes),
            f"{each.messages:.1f}" if each.messages else "",
            f"{each.others_cores:.1f}",
            str(sum(each.load.failures.values())),
        )
        for each in _by_body(findings, "saturation")
        if each.load is not None
    ]
    figures = ("requests/s", "picker ms", "Envoy ms", "ratio", "picker MiB", "messages", "others", "failed")
    return table(("prompt", "gateway", *figures), rows)


def latency_table(findings: Sequence[Finding]) -> str:
    """Open loops: the gateway without a picker in full, the others as what they add to it."""
    rows = []
    for each in _by_body(findings, "latency"):
        if each.load is None:
            continue
        shown = (each.load.first_byte, each.load.total)
        sign = ""
        if each.added is not None and each.added_first_byte is not None and each.variant != NO_PICKER.name:
            shown, sign = (each.added_first_byte, each.added), "+"
        others = f"{each.others_cores:.1f}"
        figures = [f"{value:{sign}.2f}" for quantiles in shown for value in (quantiles.p50_ms, quantiles.p99_ms)]
        failed = str(sum(each.load.failures.values()))
        rows.append((each.body, each.variant, f"{each.rate_per_s:,.0f}", *figures, others, failed))
    heads = ("requests/s", "first byte p50 ms", "p99 ms", "last byte p50 ms", "p99 ms", "others", "failed")
    return table(("prompt", "gateway", *heads), rows)


def overload_table(findings: Sequence[Finding]) -> str:
    """Open loops above what the gateway can do."""
    rows = [
        (
            each.body,
            each.variant,
            f"{each.rate_per_s:,.0f}",
            f"{each.load.per_s:,.0f}",
            f"{each.load.total.p50_ms:,.0f}",
            f"{each.load.total.p99_ms:,.0f}",
            _mib(each.rss_bytes),
            str(sum(each.load.failures.values())),
        )
        for each in findings
        if each.kind == "overload" and each.load is not None
    ]
    heads = ("prompt", "gateway", "due/s", "answered/s", "p50 ms", "p99 ms", "picker MiB", "failed")
    return table(heads, rows)


def rest_table(findings: Sequence[Finding]) -> str:
    """Gateways without requests: idle ones, and one after a load."""
    rows = []
    for each in findings:
        if each.kind == "idle":
            rows.append((each.variant, f"idle, {each.pods} pods", f"{each.idle_cores:.3f}", _mib(each.rss_bytes)))
        elif each.kind == "memory":
            rows.append((each.variant, f"10 s after a load of {each.body} prompts", "", _mib(each.rss_bytes)))
    return table(("gateway", "", "picker cores", "picker MiB"), rows)


def step_table(findings: Findings) -> str:
    """Microseconds of CPU."""
    return table(
        ("step", "µs", "of the reference loop"),
        ((each.what, f"{each.cost_us:,.1f}", f"{each.loops:.5f}") for each in findings.steps),
    )


def table(heads: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown; empty without rows."""
    written = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    if not written:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *written])


def _by_body(findings: Sequence[Finding], kind: str) -> list[Finding]:
    """In the order of bodies, then of gateways, as they were measured."""
    found = [each for each in findings if each.kind == kind]
    bodies = list(dict.fromkeys(each.body for each in found))
    return sorted(found, key=lambda each: bodies.index(each.body))


def _ms(value: float) -> str:
    return f"{value:.3f}" if value else ""


def _mib(rss_bytes: Sequence[int]) -> str:
    """The sum, and the parts of several processes."""
    parts = [f"{each / MIB:.0f}" for each in rss_bytes]
    if len(parts) < 2:
        return "".join(parts)
    return f"{sum(rss_bytes) / MIB:.0f} ({' + '.join(parts)})"
