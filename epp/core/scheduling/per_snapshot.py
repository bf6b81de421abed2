"""What is worked out once per snapshot and then read by every request: labels, tokens.

Labels change only with the snapshot, so that a pool of a thousand endpoints is walked through once per change of
membership and not once per request.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from epp.core.scheduling.cycle import Candidates
from epp.core.state.snapshot import PoolSnapshot

T = TypeVar("T")
Mask = NDArray[np.bool_]


class PerSnapshot(Generic[T]):
    """Remembers what `make` says of the newest snapshot."""

    __slots__ = ("_made", "_make", "_snapshot")

    def __init__(self, make: Callable[[PoolSnapshot], T]) -> None:
        self._make = make
        self._snapshot: PoolSnapshot | None = None
        self._made: T | None = None

    def of(self, snapshot: PoolSnapshot) -> T:
        """The value for `snapshot`; made again only when it is another one than the last time."""
        made = self._made
        if snapshot is not self._snapshot or made is None:
            made = self._made = self._make(snapshot)
            self._snapshot = snapshot
        return made


class LabelFilter:
    """A filter that looks at nothing but the labels of an endpoint."""

    def __init__(self, accepts: Callable[[Mapping[str, str]], bool]) -> None:
        self._mask: PerSnapshot[Mask] = PerSnapshot(
            lambda snapshot: np.fromiter(
                (accepts(endpoint.labels) for endpoint in snapshot.endpoints), np.bool_, len(snapshot.endpoints)
            )
        )

    def __call__(self, candidates: Candidates) -> Candidates:
        """The candidates whose labels are accepted, in their order."""
        return candidates.keep(self._mask.of(candidates.snapshot)[candidates.positions])
