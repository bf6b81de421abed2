"""What a run of the benchmark finds, as it goes into its JSON file."""

from typing import Literal

import msgspec

from bench.gateway.cases import Kind
from bench.gateway.latency import Quantiles
from bench.gateway.load import LoadResult
from bench.gateway.stacks import ENVOY, EPP


class Machine(msgspec.Struct, frozen=True):
    """Where and when it ran."""

    cpu: str
    cores: int
    memory_bytes: int
    python: str
    envoy: str
    date: str
    """UTC, as in 2026-01-31 12:00"""
    is_compiled: bool = False


class Finding(msgspec.Struct, frozen=True):
    """One case. A gateway that is left alone has no `body` and no `load`."""

    kind: Kind
    variant: str
    pods: int
    body: str = ""
    prompt_bytes: int = 0
    rate_per_s: float = 0.0
    """of an open loop"""
    load: LoadResult | None = None
    added: Quantiles | None = None
    """of the total time, against the gateway without a picker"""
    added_first_byte: Quantiles | None = None
    idle_cores: float = 0.0
    """CPU seconds a second of the picker"""
    rss_bytes: tuple[int, ...] = ()
    """of each process of the picker, when the case ended"""
    messages: float = 0.0
    """of Envoy to the picker, per request of the case, warm-up included"""
    problems: tuple[str, ...] = ()

    @property
    def epp_ms(self) -> float:
        """CPU of the picker per request; 0 without one."""
        return self._cpu_ms(EPP)

    @property
    def envoy_ms(self) -> float:
        """CPU of Envoy per request."""
        return self._cpu_ms(ENVOY)

    @property
    def ratio(self) -> float:
        """CPU of the picker to that of Envoy."""
        return self.epp_ms / self.envoy_ms if self.envoy_ms else 0.0

    @property
    def others_cores(self) -> float:
        """CPU seconds a second of what has nothing to do with the benchmark."""
        return self.load.others_cpu_s / self.load.window_s if self.load is not None and self.load.window_s else 0.0

    @property
    def name(self) -> str:
        """As that of its case."""
        return f"{self.kind}: {self.variant}: {self.body or f'{self.pods} pods'}"

    def _cpu_ms(self, name: str) -> float:
        if self.load is None or not self.load.completed:
            return 0.0
        return self.load.cpu_s.get(name, 0.0) / self.load.completed * 1e3


class Missing(msgspec.Struct, frozen=True):
    """A gateway that this version cannot be, or that could not be measured."""

    variant: str
    reason: str
    kind: Literal["not available", "failed"]


class Step(msgspec.Struct, frozen=True):
    """A piece of the picker's work measured alone, in microseconds of CPU."""

    what: str
    cost_us: float
    loops: float
    """the same in units of a fixed loop of pure Python measured beside it"""


class Findings(msgspec.Struct, frozen=True):
    """A whole run."""

    machine: Machine
    findings: tuple[Finding, ...]
    missing: tuple[Missing, ...] = ()
    steps: tuple[Step, ...] = ()
    quick: bool = False

    @property
    def problems(self) -> list[str]:
        """What makes the run a failed one."""
        failed = [f"{each.variant}: {each.reason}" for each in self.missing if each.kind == "failed"]
        return failed + [f"{each.name}: {problem}" for each in self.findings for problem in each.problems]

    def find(self, kind: Kind, variant: str, body: str) -> Finding | None:
        """The case's finding, None when it was not measured."""
        for each in self.findings:
            if (each.kind, each.variant, each.body) == (kind, variant, body):
                return each
        return None
