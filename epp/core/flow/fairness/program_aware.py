"""program-aware-fairness: who was served least and has waited longest goes first (least attained service).

score = 0.8 * (1 - norm(service)) + 0.2 * norm(wait of the flow's head); highest first, ties by order of arrival.
norm(x) = (x - min) / (max - min) over the flows that have items, 0 where all are equal. service is in tokens,
prompt + 2 * completion, and halves every 60 s. Source: program-aware-fairness of llm-d-router, strategy `las`; there
the service of a flow decays only while the flow is idle, here always, so that old work never outweighs new work.
"""

import math
from collections import OrderedDict
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from epp.core.config.flow_parameters import ProgramAwareParameters
from epp.core.flow.band import Flow

MOST_PROGRAMS = 10_000
COMPLETION_WEIGHT = 2
_REBASE_HALF_LIVES = 64.0


class ServiceBook:
    """Attained service by tenant, decayed; shared by all bands.

    Kept as tokens * 2^((t - landmark) / half-life) (forward decay, Cormode et al. 2009): then nothing has to be
    touched as time passes, and comparing two tenants needs no clock.
    """

    def __init__(self, parameters: ProgramAwareParameters) -> None:
        self._parameters = parameters
        self._landmark = 0.0
        self._scaled: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """by tenant: (scaled service, time of the last record), oldest record first"""
        self.watchers: WeakSet[ProgramAwareFairness] = WeakSet()

    def __len__(self) -> int:
        return len(self._scaled)

    @property
    def tenants(self) -> tuple[str, ...]:
        """Everybody who was served lately."""
        return tuple(self._scaled)

    def record(self, fairness_id: str, prompt_tokens: int, completion_tokens: int, now: float) -> None:
        """A request of the tenant ended at `now`."""
        if (now - self._landmark) / self._parameters.las_half_life_seconds > _REBASE_HALF_LIVES:
            self._rebase(now)
        cost = (prompt_tokens + COMPLETION_WEIGHT * completion_tokens) * self._growth(now)
        self._scaled[fairness_id] = (self.scaled(fairness_id) + cost, now)
        self._scaled.move_to_end(fairness_id)
        self._forget(now)
        for policy in self.watchers:
            policy.service_changed(fairness_id)

    def scaled(self, fairness_id: str) -> float:
        """Comparable between tenants, in no unit."""
        return self._scaled.get(fairness_id, (0.0, 0.0))[0]

    def service(self, fairness_id: str, now: float) -> float:
        """Tokens, decayed to `now`."""
        return self.scaled(fairness_id) / self._growth(now)

    def _growth(self, now: float) -> float:
        exponent = (now - self._landmark) / self._parameters.las_half_life_seconds
        return math.pow(2.0, min(exponent, 1000.0))

    def _rebase(self, now: float) -> None:
        shrink = 1.0 / self._growth(now)
        self._landmark = now
        for fairness_id, (scaled, at) in self._scaled.items():
            self._scaled[fairness_id] = (scaled * shrink, at)
        for policy in self.watchers:
            policy.reload()

    def _forget(self, now: float) -> None:
        """Whoever has not been served for long has no service worth keeping; the number is bounded anyway."""
        oldest_kept = now - self._parameters.eviction_ttl_seconds
        while self._scaled:
            fairness_id, (_, at) = next(iter(self._scaled.items()))
            if at >= oldest_kept and len(self._scaled) <= MOST_PROGRAMS:
                return
            del self._scaled[fairness_id]
            for policy in self.watchers:
                policy.service_changed(fairness_id)


class ProgramAwareFairness:
    """See the module. Norms change with every head, so a pick looks at all flows of the band, as arrays: 5,000 flows
    cost some 25 us; no item is looked at."""

    def __init__(self, book: ServiceBook, parameters: ProgramAwareParameters) -> None:
        self._book = book
        self._parameters = parameters
        self._flows: list[Flow] = []
        self._places: dict[str, int] = {}
        """by tenant: index into `_flows` and the arrays"""
        self._service: NDArray[np.float64] = np.zeros(16)
        self._enqueued_at: NDArray[np.float64] = np.zeros(16)
        self._serials: NDArray[np.int64] = np.zeros(16, dtype=np.int64)
        book.watchers.add(self)

    def changed(self, flow: Flow) -> None:
        """See FairnessPolicy."""
        if not flow.entries:
            self._drop(flow)
            return
        place = self._places.get(flow.key.fairness_id)
        if place is None:
            place = self._append(flow)
        entry, _ = flow.head
        self._enqueued_at[place] = entry.enqueued_at
        self._serials[place] = entry.serial

    def granted(self, flow: Flow) -> None:
        """Nothing to remember: service counts when the request is over."""

    def next_flow(self) -> Flow:
        """See FairnessPolicy."""
        count = len(self._flows)
        if not count:
            raise IndexError("every flow of the band is empty")
        weights = self._parameters
        # the wait of a head is now - its arrival, so normed waits need no clock
        score = weights.las_weight_service * (1.0 - _norm(self._service[:count]))
        score += weights.las_weight_head_wait * _norm(-self._enqueued_at[:count])
        best = np.flatnonzero(score == score.max())
        return self._flows[int(best[self._serials[best].argmin()])]

    def service_changed(self, fairness_id: str) -> None:
        """The book has another number for this tenant."""
        place = self._places.get(fairness_id)
        if place is not None:
            self._service[place] = self._book.scaled(fairness_id)

    def reload(self) -> None:
        """The book has other numbers for everybody."""
        for fairness_id in self._places:
            self.service_changed(fairness_id)

    def _append(self, flow: Flow) -> int:
        place = len(self._flows)
        if place == len(self._service):
            self._service = np.concatenate([self._service, np.zeros(place)])
            self._enqueued_at = np.concatenate([self._enqueued_at, np.zeros(place)])
            self._serials = np.concatenate([self._serials, np.zeros(place, dtype=np.int64)])
        self._flows.append(flow)
        self._places[flow.key.fairness_id] = place
        self._service[place] = self._book.scaled(flow.key.fairness_id)
        return place

    def _drop(self, flow: Flow) -> None:
        """The last flow takes the place, so that the arrays stay dense."""
        place = self._places.pop(flow.key.fairness_id, None)
        if place is None:
            return
        last = self._flows.pop()
        if last is flow:
            return
        end = len(self._flows)
        self._flows[place] = last
        self._places[last.key.fairness_id] = place
        for column in (self._service, self._enqueued_at, self._serials):
            column[place] = column[end]


def _norm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = values.min(), values.max()
    return np.zeros(len(values)) if low == high else (values - low) / (high - low)
