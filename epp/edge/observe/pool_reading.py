"""A reading of the pool: what is known of every endpoint at one instant, copied so that any thread may work on it."""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock
from epp.core.state.columns import FloatColumn
from epp.core.state.cooldown import CoolDowns
from epp.core.state.ledger import InFlightCounts
from epp.core.state.snapshot import PoolSnapshot, SnapshotSource


class EndpointReading(msgspec.Struct, frozen=True):
    """One endpoint, for people to read."""

    name: str
    namespace: str
    pod: str
    destination: str
    slot: int
    generation: int
    in_flight: int
    """our own unfinished requests"""
    in_flight_tokens: int
    waiting: float
    running: float
    kv_usage: float
    kv_blocks: float
    kv_block_tokens: float
    max_adapters: float
    running_adapters: list[str]
    waiting_adapters: list[str]
    attributes: dict[str, float]
    """the custom metrics that are known"""
    metrics_age_s: float | None
    """seconds since the last good scrape, None before the first"""
    stale: bool
    cooling: bool
    load_gap: float | None
    """reported running and waiting requests minus our own in flight; None while the metrics are stale"""


class PoolReading(msgspec.Struct, frozen=True):
    """Columns of shape (endpoints,), in the pool's order."""

    pool_name: str
    """empty while the pool is not known"""
    version: int
    endpoints: tuple[Endpoint, ...]
    slots: NDArray[np.intp]
    generations: list[int]
    in_flight: NDArray[np.int64]
    in_flight_tokens: NDArray[np.int64]
    waiting: FloatColumn
    running: FloatColumn
    kv_usage: FloatColumn
    kv_blocks: FloatColumn
    kv_block_tokens: FloatColumn
    max_adapters: FloatColumn
    adapters: list[tuple[frozenset[str], frozenset[str]]]
    """running, waiting"""
    attributes: Mapping[str, FloatColumn]
    """custom metrics; not a number where unknown"""
    metrics_age_s: FloatColumn
    """inf before the first scrape"""
    stale: NDArray[np.bool_]
    cooling: NDArray[np.bool_]
    reservations_open: int
    further_reservations_open: int
    """those of them that belong to a further stage of a request"""
    """also those at endpoints that have left the pool"""

    @property
    def load_gap(self) -> FloatColumn:
        """Reported requests minus our own in flight; means nothing where `stale`."""
        return self.running + self.waiting - self.in_flight

    def rows(self) -> list[EndpointReading]:
        """One row per endpoint."""
        gaps = self.load_gap.tolist()
        return [
            EndpointReading(
                name=endpoint.name,
                namespace=endpoint.namespace,
                pod=endpoint.pod,
                destination=endpoint.destination,
                slot=int(self.slots[i]),
                generation=self.generations[i],
                in_flight=int(self.in_flight[i]),
                in_flight_tokens=int(self.in_flight_tokens[i]),
                waiting=float(self.waiting[i]),
                running=float(self.running[i]),
                kv_usage=float(self.kv_usage[i]),
                kv_blocks=float(self.kv_blocks[i]),
                kv_block_tokens=float(self.kv_block_tokens[i]),
                max_adapters=float(self.max_adapters[i]),
                running_adapters=sorted(self.adapters[i][0]),
                waiting_adapters=sorted(self.adapters[i][1]),
                attributes={key: float(column[i]) for key, column in self.attributes.items() if np.isfinite(column[i])},
                metrics_age_s=float(self.metrics_age_s[i]) if np.isfinite(self.metrics_age_s[i]) else None,
                stale=bool(self.stale[i]),
                cooling=bool(self.cooling[i]),
                load_gap=None if self.stale[i] else gaps[i],
            )
            for i, endpoint in enumerate(self.endpoints)
        ]


class PoolReader:
    """Takes readings; on the thread that owns the books."""

    def __init__(self, snapshots: SnapshotSource, ledger: InFlightCounts, cooldowns: CoolDowns, clock: Clock) -> None:
        self._snapshots = snapshots
        self._ledger = ledger
        self._cooldowns = cooldowns
        self._clock = clock

    def read(self) -> PoolReading:
        """The pool now; copies a dozen columns, 0.4 ms for 1,000 endpoints."""
        now = self._clock()
        self._ledger.refresh(now)
        return read_pool(self._snapshots.current, self._ledger, self._cooldowns, now)


def read_pool(snapshot: PoolSnapshot, ledger: InFlightCounts, cooldowns: CoolDowns, now: float) -> PoolReading:
    """See PoolReader; `now` in monotonic seconds."""
    load, slots = snapshot.load, snapshot.slots
    cooling = cooldowns.cooling(now)
    age_s = now - load.updated_at[slots]
    return PoolReading(
        pool_name=snapshot.pool.name if snapshot.pool else "",
        version=snapshot.version,
        endpoints=snapshot.endpoints,
        slots=slots,
        generations=[ledger.generation(slot) for slot in slots.tolist()],
        in_flight=ledger.requests[slots],
        in_flight_tokens=ledger.tokens[slots],
        waiting=load.waiting[slots],
        running=load.running[slots],
        kv_usage=load.kv_usage[slots],
        kv_blocks=load.kv_blocks[slots],
        kv_block_tokens=load.kv_block_tokens[slots],
        max_adapters=load.max_adapters[slots],
        adapters=[(load.running_adapters[slot], load.waiting_adapters[slot]) for slot in slots.tolist()],
        attributes={key: column[slots] for key, column in load.attributes.items()},
        metrics_age_s=age_s,
        stale=age_s > snapshot.metrics_stale_after_s,
        cooling=np.array([bool(cooling) and endpoint.key in cooling for endpoint in snapshot.endpoints], dtype=bool),
        reservations_open=ledger.open_count,
        further_reservations_open=ledger.open_further_count,
    )
