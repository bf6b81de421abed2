"""The pool snapshot: who may be picked now. Immutable; background work builds the next one and swaps the reference."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.domain.record import Record
from epp.core.domain.roles import DECODE_ROLES, ENCODE_ROLES, PREFILL_ROLES, ROLE_LABEL
from epp.core.domain.value import Value
from epp.core.state.columns import LoadColumns
from epp.core.state.rewrite_table import NO_REWRITES, RewriteTable


class StageMembers(Value):
    """Who can do which stage, by position in the snapshot; each of shape (endpoints,)."""

    encode: NDArray[np.bool_]
    prefill: NDArray[np.bool_]
    decode: NDArray[np.bool_]


def stage_members(endpoints: Sequence[Endpoint]) -> StageMembers | None:
    """By the endpoints' roles; None when nobody has one, and everybody decodes."""
    if not any(ROLE_LABEL in endpoint.labels for endpoint in endpoints):
        return None
    roles = [endpoint.labels.get(ROLE_LABEL) for endpoint in endpoints]
    return StageMembers(
        encode=np.array([role in ENCODE_ROLES for role in roles]),
        prefill=np.array([role in PREFILL_ROLES for role in roles]),
        decode=np.array([role is None or role in DECODE_ROLES for role in roles]),
    )


class PoolSnapshot(Record):
    """Membership of the pool, with the slots under which ledger and load columns know each endpoint."""

    def __init__(
        self,
        *,
        version: int,
        pool: InferencePool | None,
        endpoints: tuple[Endpoint, ...],
        slots: NDArray[np.intp],
        load: LoadColumns,
        objectives: Mapping[str, InferenceObjective],
        by_destination: Mapping[str, int],
        by_address: Mapping[str, tuple[int, ...]],
        metrics_stale_after_s: float = 2.0,
        stage_members: StageMembers | None = None,
        rewrites: RewriteTable = NO_REWRITES,
    ) -> None:
        self.version: Final = version
        self.pool: Final = pool
        self.endpoints: Final = endpoints
        self.slots: Final = slots
        """shape (endpoints,)"""
        self.load: Final = load
        self.objectives: Final = objectives
        """by name; only those of this pool"""
        self.by_destination: Final = by_destination
        """position of an endpoint by `ip:port`"""
        self.by_address: Final = by_address
        """positions by bare address"""
        self.metrics_stale_after_s: Final = metrics_stale_after_s
        """a load column older than this counts as unknown"""
        self.stage_members: Final = stage_members
        """None: no endpoint has a role"""
        self.rewrites: Final = rewrites
        """of this pool"""


def snapshot_of(
    state: ObjectState, slots: Sequence[int], load: LoadColumns, version: int, metrics_stale_after_s: float
) -> PoolSnapshot:
    """The snapshot of an object state whose endpoints have these slots."""
    by_address: dict[str, tuple[int, ...]] = {}
    for position, endpoint in enumerate(state.endpoints):
        by_address[endpoint.address] = (*by_address.get(endpoint.address, ()), position)
    return PoolSnapshot(
        version=version,
        pool=state.pool,
        endpoints=state.endpoints,
        slots=np.array(slots, dtype=np.intp),
        load=load,
        objectives={objective.name: objective for objective in state.objectives},
        by_destination={endpoint.destination: i for i, endpoint in enumerate(state.endpoints)},
        by_address=by_address,
        metrics_stale_after_s=metrics_stale_after_s,
        stage_members=stage_members(state.endpoints),
        rewrites=RewriteTable.of(state.rewrites),
    )


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
