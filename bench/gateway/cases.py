"""What `make bench` measures: which gateway serves which requests, and for how long.

Closed loops come first, all of them: the rate of the open loops is a share of what the slowest gateway reached with
that body, so that every gateway gets the same timetable and none is near its limit.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from bench.gateway.stacks import Variant

OPEN_LOOP_SHARE = 0.3
"""of what the slowest gateway reached in the closed loop with the same body"""
OVERLOAD_FACTOR = 2.0
"""times what the same gateway reached in the closed loop"""
MOST_OVERLOAD_CONNECTIONS = 1000
"""and no more than the gateway answers in a second: after 2 s (message_timeout) Envoy passes the picker by"""
USUAL_PODS = 10
IDLE_PODS = (10, 100, 1000)

Kind = Literal["saturation", "latency", "overload", "idle", "memory"]


class BodyKind(msgspec.Struct, frozen=True):
    """What requests look like, and how many are under way at once in a closed loop.

    With plain answers so many keep all cores busy. With streamed ones the pods set the pace: an event that waits for
    Envoy's next look would be read together with the one after it, and no longer cost as much as in real life.
    """

    name: str
    prompt_bytes: int
    connections: int
    is_streamed: bool = False


SHORT = BodyKind("0.8 KB", 800, 64)
MIDDLE = BodyKind("20 KB", 20_000, 64)
LONG = BodyKind("220 KB", 220_000, 60)
HUGE = BodyKind("1 MB", 1_000_000, 24)
STREAMED = BodyKind("0.8 KB, streamed", 800, 96, is_streamed=True)
MIDDLE_STREAMED = BodyKind("20 KB, streamed", 20_000, 96, is_streamed=True)
LONG_STREAMED = BodyKind("220 KB, streamed", 220_000, 96, is_streamed=True)
HUGE_STREAMED = BodyKind("1 MB, streamed", 1_000_000, 24, is_streamed=True)
ALL_BODIES = (SHORT, MIDDLE, LONG, HUGE, STREAMED, MIDDLE_STREAMED, LONG_STREAMED, HUGE_STREAMED)

NO_PICKER = Variant("no picker", None)
GRPCIO = Variant("grpcio", "grpcio")
GRPCIO_DUPLEX = Variant("grpcio, full-duplex", "grpcio", "full-duplex")
GRPCIO_TLS = Variant("grpcio, TLS", "grpcio", secure=True)
NATIVE = Variant("native", "native")
NATIVE_DUPLEX = Variant("native, full-duplex", "native", "full-duplex")
NATIVE_TLS = Variant("native, TLS", "native", secure=True)
ONE_WORKER = Variant("native, 1 worker", "native", workers=1)
TWO_WORKERS = Variant("native, 2 workers", "native", workers=2)

BODIES: Sequence[tuple[Variant, Sequence[BodyKind]]] = (
    (NO_PICKER, ALL_BODIES),
    (GRPCIO, ALL_BODIES),
    (GRPCIO_DUPLEX, ALL_BODIES),
    (GRPCIO_TLS, (SHORT,)),
    (NATIVE, ALL_BODIES),
    (NATIVE_DUPLEX, ALL_BODIES),
    (NATIVE_TLS, (SHORT,)),
    (ONE_WORKER, ALL_BODIES),
    (TWO_WORKERS, ALL_BODIES),
)
QUICK_BODIES: Sequence[tuple[Variant, Sequence[BodyKind]]] = (
    (NO_PICKER, (SHORT,)),
    (GRPCIO, (SHORT, LONG)),
    (NATIVE, (SHORT, LONG, STREAMED)),
    (NATIVE_DUPLEX, (STREAMED,)),
)
FURTHER = (GRPCIO, NATIVE)
"""measured at overload, in idleness and after a load, too"""


class Durations(msgspec.Struct, frozen=True):
    """Seconds."""

    warm_up: float = 1.0
    closed: float = 3.0
    open: float = 3.0
    overload: float = 5.0
    idle: float = 10.0
    rest: float = 10.0
    """from the end of a load until its memory is looked at"""


USUAL = Durations()
QUICK = Durations(warm_up=0.5, closed=1.5, open=2.0, overload=2.0, idle=4.0)


class Case(msgspec.Struct, frozen=True):
    """One measurement; `body` None for a gateway that is left alone."""

    kind: Kind
    variant: Variant
    body: BodyKind | None = None
    pods: int = USUAL_PODS

    @property
    def name(self) -> str:
        """Unique in a run, and what `--only` looks into."""
        return f"{self.kind}: {self.variant.name}: {self.body.name if self.body else f'{self.pods} pods'}"

    @property
    def gateway(self) -> tuple[Kind, Variant, int]:
        """What it shares with the cases that are measured at the same gateway."""
        return self.kind, self.variant, self.pods

    def needs(self, other: "Case") -> bool:
        """Whether this case cannot be measured without what `other` finds."""
        if self.body != other.body:
            return False
        if self.kind == "latency":
            return (other.kind, other.variant) in {("saturation", self.variant), ("latency", NO_PICKER)}
        return self.kind == "overload" and (other.kind, other.variant) == ("saturation", self.variant)

    def seconds(self, durations: Durations) -> float:
        """About how long it takes, without the start of its gateway."""
        lasts = {
            "saturation": durations.warm_up + durations.closed,
            "latency": durations.warm_up + durations.open,
            "overload": durations.warm_up + 2 * durations.overload,  # the queue has to empty again
            "idle": durations.idle,
            "memory": durations.warm_up + durations.closed + durations.rest,
        }
        return lasts[self.kind] + (0.5 if self.body else 0.0)


def all_cases(*, quick: bool) -> list[Case]:
    """In the order in which they are measured; neighbours with the same gateway share it."""
    bodies = QUICK_BODIES if quick else BODIES
    cases = [Case("saturation", variant, body) for variant, each in bodies for body in each]
    cases += [
        Case("latency", variant, body)
        for variant, each in bodies
        for body in each
        if not variant.secure and (not quick or body == SHORT)
    ]
    cases += [Case("overload", variant, SHORT) for variant in FURTHER]
    if quick:
        return [*cases, Case("idle", FURTHER[-1])]
    cases += [Case("memory", variant, body) for variant in FURTHER for body in (HUGE, SHORT)]
    return [*cases, *(Case("idle", variant, pods=pods) for variant in FURTHER for pods in IDLE_PODS)]


def selected(cases: Sequence[Case], texts: Iterable[str]) -> list[Case]:
    """Cases whose name holds one of the texts (all without any), and those that they need."""
    wanted = [text.casefold() for text in texts]
    chosen = {case for case in cases if not wanted or any(text in case.name.casefold() for text in wanted)}
    while more := {case for case in cases if case not in chosen and any(each.needs(case) for each in chosen)}:
        chosen |= more
    return [case for case in cases if case in chosen]
