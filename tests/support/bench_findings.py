"""Findings of a made-up run of the benchmark, with figures that are easy to compute with."""

import msgspec

from bench.gateway.cases import GRPCIO, NATIVE, NATIVE_TLS, NO_PICKER, BodyKind, Kind
from bench.gateway.findings import Finding, Findings, Machine, Missing, Step
from bench.gateway.latency import Quantiles
from bench.gateway.load import LoadResult
from bench.gateway.stacks import Variant

MIB = 1 << 20


def load_result(*, epp_s: float = 0.0, envoy_s: float = 1.0, failures: dict[str, int] | None = None) -> LoadResult:
    """1,000 answers in 2 s."""
    return LoadResult(
        completed=1000,
        window_s=2.0,
        cpu_s={"envoy": envoy_s} | ({"epp": epp_s} if epp_s else {}),
        generator_cpu_s=0.1,
        others_cpu_s=0.4,
        first_byte=Quantiles(1.0, 3.0),
        total=Quantiles(2.0, 4.0),
        answered=1500,
        failures=failures or {},
    )


def finding(kind: Kind, variant: Variant, body: BodyKind, epp_s: float = 0.0, **more: object) -> Finding:
    """One case with a load."""
    return msgspec.structs.replace(
        Finding(
            kind,
            variant.name,
            10,
            body=body.name,
            prompt_bytes=body.prompt_bytes,
            load=load_result(epp_s=epp_s),
            rss_bytes=(70 * MIB,) if variant.transport else (),
            messages=3.0 if variant.transport else 0.0,
        ),
        **more,
    )


def findings(*found: Finding, missing: tuple[Missing, ...] = (), steps: tuple[Step, ...] = ()) -> Findings:
    """A run of these."""
    machine = Machine("Some CPU", 2, 24 << 30, "3.11.7", "1.40.0", "2026-01-31 12:00", is_compiled=True)
    return Findings(machine, found, missing, steps)


def usual_findings() -> Findings:
    """Some of each kind."""
    short, long = BodyKind("0.8 KB", 800, 64), BodyKind("220 KB", 220_000, 60)
    slower = Quantiles(1.5, -0.25)
    return findings(
        finding("saturation", NO_PICKER, short),
        finding("saturation", GRPCIO, short, 1.6),
        finding("saturation", GRPCIO, long, 2.4),
        finding("saturation", NATIVE, short, 0.4),
        finding("saturation", NATIVE, long, 0.9),
        finding("saturation", NATIVE_TLS, short, 0.5),
        finding("latency", NO_PICKER, short, added=Quantiles(), added_first_byte=Quantiles(), rate_per_s=300.0),
        finding("latency", NATIVE, short, 0.5, added=slower, added_first_byte=slower, rate_per_s=300.0),
        finding("overload", NATIVE, short, 0.4, rate_per_s=1000.0),
        finding("memory", NATIVE, BodyKind("1 MB", 1_000_000, 24), 3.0, rss_bytes=(60 * MIB, 90 * MIB)),
        Finding("idle", NATIVE.name, 10, idle_cores=0.0125, rss_bytes=(65 * MIB,)),
        missing=(Missing("native, 2 workers", "--workers: this version | serves from one process", "not available"),),
        steps=(Step("decide, 10 pods, 2 KB", 61.25, 0.0067),),
    )
