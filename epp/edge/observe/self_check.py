"""The self-check: compares our books with what the model servers report and what the gateway says, and names what
does not fit, where, and what to do. Findings are judged from the last observations, so that one bad moment is none.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np

from epp.core.domain.decision import Stage
from epp.edge.observe.logs import Logger
from epp.edge.observe.pool_reading import PoolReading
from epp.edge.observe.sink import RequestTotals

LASTING = 3
"""observations in a row that make something last"""
WINDOW = 12
"""observations over which requests are counted"""
MOST_NAMED = 5
MOST_FURTHER = len(Stage)
"""stages of one request beside the endpoint that answers"""


class Observation(msgspec.Struct, frozen=True):
    """Everything the checks look at, at one instant."""

    pool: PoolReading
    totals: RequestTotals
    streams_open: int | None = None
    """None where nobody counts them"""
    object_problems: int = 0


class SelfCheckLimits(msgspec.Struct, frozen=True):
    """What is still normal."""

    gap_requests: float = 10.0
    """between reported and own requests of an endpoint; scrapes lag behind"""
    gap_fraction: float = 0.25
    """the same, of the larger of the two"""
    not_picked_fraction: float = 0.05
    """of the requests whose server is known"""
    least_requests: int = 20
    """finished requests before fractions mean anything"""


class Finding(msgspec.Struct, frozen=True):
    """Something that does not fit."""

    severity: Literal["info", "warning", "error"]
    check: str
    """which check it is; at most one finding each"""
    what: str
    where: str
    what_to_do: str


def find(observations: Sequence[Observation], limits: SelfCheckLimits) -> list[Finding]:
    """All findings, from observations in the order of time (at least one)."""
    now = observations[-1]
    return [
        *_membership(now.pool),
        *_freshness(now.pool),
        *_cooling(now.pool),
        *_objects(now),
        *_requests(observations, limits),
        *_load(observations[-LASTING:], limits),
        *_books(observations[-LASTING:]),
    ]


class SelfCheck:
    """Observes, judges, and logs what appears and what goes away. `run` belongs on a timer of some seconds."""

    def __init__(
        self, observe: Callable[[], Observation], logger: Logger, *, limits: SelfCheckLimits | None = None
    ) -> None:
        self._observe = observe
        self._logger = logger
        self._limits = limits or SelfCheckLimits()
        self._observations: deque[Observation] = deque(maxlen=WINDOW)
        self._findings: dict[str, Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """Those of the last run; runs when there was none."""
        return list(self._findings.values()) if self._observations else self.run()

    def run(self) -> list[Finding]:
        """Takes an observation and returns the findings."""
        self._observations.append(self._observe())
        found = {finding.check: finding for finding in find(tuple(self._observations), self._limits)}
        for check, finding in found.items():
            if check not in self._findings:
                log = self._logger.info if finding.severity == "info" else self._logger.warning
                log(finding.what, check=check, where=finding.where, what_to_do=finding.what_to_do)
        for check in self._findings.keys() - found.keys():
            self._logger.info("self-check: no longer found", check=check)
        self._findings = found
        return list(found.values())


def _membership(pool: PoolReading) -> Iterable[Finding]:
    if not pool.pool_name:
        yield Finding(
            "error", "no-pool", "the InferencePool is not known", "objects", "check --pool-name and that it exists"
        )
    elif not pool.endpoints:
        yield Finding(
            "error",
            "no-endpoints",
            "the pool has no ready endpoint",
            f"pool {pool.pool_name}",
            "check that pods carry the labels of the pool's selector and are Ready",
        )


def _freshness(pool: PoolReading) -> Iterable[Finding]:
    stale = [endpoint.name for endpoint, is_stale in zip(pool.endpoints, pool.stale, strict=True) if is_stale]
    if not stale:
        return
    everybody = len(stale) == len(pool.endpoints)
    yield Finding(
        "error" if everybody else "warning",
        "no-fresh-metrics" if everybody else "stale-metrics",
        "no endpoint has fresh metrics; picks follow our own books alone"
        if everybody
        else f"{len(stale)} of {len(pool.endpoints)} endpoints have stale metrics and lose preference",
        _named(stale),
        "check that the picker reaches the pods' metrics port and path, and that the page has the expected names",
    )


def _cooling(pool: PoolReading) -> Iterable[Finding]:
    cooling = [endpoint.name for endpoint, cools in zip(pool.endpoints, pool.cooling, strict=True) if cools]
    if cooling:
        yield Finding(
            "warning",
            "cooling-endpoints",
            f"{len(cooling)} endpoints could not be reached and are left alone for a while",
            _named(cooling),
            "check the pods and the network between gateway, picker and pods",
        )


def _objects(now: Observation) -> Iterable[Finding]:
    if now.object_problems:
        yield Finding(
            "warning",
            "object-problems",
            f"{now.object_problems} objects or files cannot be used; the last good state stays in force",
            "objects",
            "see the log lines of the object source: they name file or object and field",
        )


def _requests(observations: Sequence[Observation], limits: SelfCheckLimits) -> Iterable[Finding]:
    before, after = observations[0].totals, observations[-1].totals
    bypassed = after.bypassed - before.bypassed
    if bypassed:
        yield Finding(
            "warning",
            "bypassed",
            f"{bypassed} responses came from endpoints to which the picker sent no such request",
            "gateway",
            "check that the route uses the picker's destination (override_host) and that its ext_proc calls succeed",
        )
    finished = after.finished - before.finished
    known = after.served_reported - before.served_reported
    if finished >= limits.least_requests and not known:
        yield Finding(
            "info",
            "served-unknown",
            "the gateway does not say which server answered; retries cannot be followed",
            "gateway",
            "let it add x-gateway-destination-endpoint-served to responses, as the configurations in envoy/ do",
        )
    elsewhere = after.served_not_picked - before.served_not_picked
    if known >= limits.least_requests and elsewhere > limits.not_picked_fraction * known:
        yield Finding(
            "warning",
            "served-elsewhere",
            f"{elsewhere} of {known} requests were answered by another server than the one picked",
            "gateway",
            "a few are retries to a fallback; many mean unreachable pods or a cluster that ignores the picker",
        )


def _load(lasting: Sequence[Observation], limits: SelfCheckLimits) -> Iterable[Finding]:
    if len(lasting) < LASTING:
        return
    above = set.intersection(*(_beyond(observation.pool, limits, sign=1) for observation in lasting))
    if above:
        yield Finding(
            "warning",
            "foreign-load",
            f"{len(above)} endpoints report many more requests than this picker sent them",
            _named(sorted(above)),
            "other clients or other pickers use these pods; with several replicas that is expected",
        )
    below = set.intersection(*(_beyond(observation.pool, limits, sign=-1) for observation in lasting))
    if below:
        yield Finding(
            "warning",
            "drift",
            f"{len(below)} endpoints report many fewer requests than our books hold",
            _named(sorted(below)),
            "requests wait in the gateway or the network, or their ends were missed: compare epp_streams_open",
        )


def _beyond(pool: PoolReading, limits: SelfCheckLimits, *, sign: int) -> set[str]:
    reported = pool.running + pool.waiting
    allowed = np.maximum(limits.gap_requests, limits.gap_fraction * np.maximum(reported, pool.in_flight))
    beyond = (sign * pool.load_gap > allowed) & ~pool.stale
    return {pool.endpoints[position].name for position in np.flatnonzero(beyond).tolist()}


def _books(lasting: Sequence[Observation]) -> Iterable[Finding]:
    negative = [
        endpoint.name
        for endpoint, count in zip(lasting[-1].pool.endpoints, lasting[-1].pool.in_flight, strict=True)
        if count < 0
    ]
    if negative:
        yield Finding(
            "error", "negative-books", "the in-flight books are below zero", _named(negative), "report this fault"
        )
    leaking = [
        observation
        for observation in lasting
        if observation.streams_open is not None and _least_streams(observation.pool) > observation.streams_open
    ]
    if len(leaking) >= LASTING:
        yield Finding(
            "error",
            "leaked-reservations",
            f"{leaking[-1].pool.reservations_open} reservations are open, but only {leaking[-1].streams_open} streams",
            "in-flight books",
            "report this fault; a restart clears the books",
        )


def _least_streams(pool: PoolReading) -> int:
    """How many requests must be under way for these reservations: one place that answers, MOST_FURTHER others."""
    further = pool.further_reservations_open
    return max(pool.reservations_open - further, -(-further // MOST_FURTHER))


def _named(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
