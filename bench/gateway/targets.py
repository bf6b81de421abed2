"""What the picker is to cost, and whether it does."""

from collections.abc import Callable

import msgspec

from bench.gateway.cases import (
    GRPCIO,
    HUGE,
    LONG,
    NATIVE,
    NATIVE_DUPLEX,
    NATIVE_TLS,
    SHORT,
    STREAMED,
    BodyKind,
    Kind,
)
from bench.gateway.findings import Finding, Findings
from bench.gateway.stacks import Variant

MIB = 1 << 20
IDLE_CORES = {10: 0.02, 100: 0.1, 1000: 0.5}
RSS_MIB = 80.0


class Target(msgspec.Struct, frozen=True):
    """One bound; `value` None where the run did not measure it."""

    what: str
    value: float | None
    limit: float
    unit: str = ""
    is_least: bool = False
    """the value shall be at least the limit, else at most"""

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.value is None:
            return "not measured"
        is_met = self.value >= self.limit if self.is_least else self.value <= self.limit
        return "met" if is_met else "missed"


def targets(findings: Findings) -> list[Target]:
    """All of them, in the order of the report."""
    return [*_ratios(findings), *_idle(findings), *_memory(findings), *_comparisons(findings)]


def _ratios(findings: Findings) -> list[Target]:
    bounds: tuple[tuple[Variant, BodyKind, float], ...] = (
        (NATIVE, SHORT, 0.5),
        (NATIVE, STREAMED, 0.25),
        (NATIVE_DUPLEX, STREAMED, 0.6),
        (NATIVE, LONG, 0.6),
        (NATIVE_DUPLEX, LONG, 1.0),
        (NATIVE, HUGE, 0.7),
    )
    return [
        Target(
            f"CPU to Envoy's, {variant.name}, {body.name}",
            _of(findings, "saturation", variant, body, lambda found: found.ratio),
            limit,
        )
        for variant, body, limit in bounds
    ]


def _idle(findings: Findings) -> list[Target]:
    cores = {each.pods: each.idle_cores for each in findings.findings if each.name.startswith(f"idle: {NATIVE.name}:")}
    return [Target(f"idle, {pods} pods", cores.get(pods), limit, "cores") for pods, limit in IDLE_CORES.items()]


def _memory(findings: Findings) -> list[Target]:
    def largest_mib(found: Finding) -> float:
        return max(found.rss_bytes) / MIB

    under_way_mib = HUGE.connections * HUGE.prompt_bytes / MIB
    afterwards = [
        Target(
            f"memory of a picker 10 s after a load of {body.name} prompts",
            _of(findings, "memory", NATIVE, body, largest_mib),
            RSS_MIB,
            "MiB",
        )
        for body in (HUGE, SHORT)
    ]
    return [
        *afterwards,
        Target(
            f"memory of a picker under {HUGE.connections} prompts of 1 MB at once",
            _of(findings, "saturation", NATIVE, HUGE, largest_mib),
            RSS_MIB + under_way_mib,
            "MiB",
        ),
    ]


def _comparisons(findings: Findings) -> list[Target]:
    def epp_ms(variant: Variant) -> float | None:
        return _of(findings, "saturation", variant, SHORT, lambda found: found.epp_ms)

    native = epp_ms(NATIVE)
    return [
        Target("CPU with TLS to CPU in plaintext, 0.8 KB", _quotient(epp_ms(NATIVE_TLS), native), 1.5),
        Target("CPU of grpcio to CPU of native, 0.8 KB", _quotient(epp_ms(GRPCIO), native), 3.0, is_least=True),
        Target("requests that failed or passed by the picker", _failed(findings), 0.0),
    ]


def _failed(findings: Findings) -> float:
    return float(len(findings.problems))


def _quotient(value: float | None, to: float | None) -> float | None:
    return value / to if value is not None and to else None


def _of(
    findings: Findings, kind: Kind, variant: Variant, body: BodyKind, figure: Callable[[Finding], float]
) -> float | None:
    found = findings.find(kind, variant.name, body.name)
    return figure(found) if found is not None else None
