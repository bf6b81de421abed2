"""The pool snapshot: who may be picked now. Immutable; background work builds the next one and swaps the reference."""

from collections.abc import Mapping
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.state.columns import LoadColumns
from epp.core.state.rewrite_table import NO_REWRITES, RewriteTable


class PoolSnapshot(msgspec.Struct, frozen=True):
    """Membership of the pool, with the slots under which ledger and load columns know each endpoint."""

    version: int
    pool: InferencePool | None
    endpoints: tuple[Endpoint, ...]
    slots: NDArray[np.intp]
    """shape (endpoints,)"""
    load: LoadColumns
    objectives: Mapping[str, InferenceObjective]
    """by name; only those of this pool"""
    by_destination: Mapping[str, int]
    """position of an endpoint by `ip:port`"""
    by_address: Mapping[str, tuple[int, ...]]
    """positions by bare address"""
    metrics_stale_after_s: float = 2.0
    """a load column older than this counts as unknown"""
    rewrites: RewriteTable = NO_REWRITES
    """of this pool"""


class SnapshotSource(Protocol):
    """Where the request path reads what is known now."""

    @property
    def current(self) -> PoolSnapshot:
        """The newest snapshot; a reference read, never a copy."""
        ...


def empty_snapshot() -> PoolSnapshot:
    """Before the first object was seen: no pool, no endpoint."""
    return PoolSnapshot(
        version=0,
        pool=None,
        endpoints=(),
        slots=np.empty(0, dtype=np.intp),
        load=LoadColumns(1),
        objectives={},
        by_destination={},
        by_address={},
    )
