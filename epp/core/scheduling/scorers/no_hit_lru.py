"""no-hit-lru-scorer: spreads requests that no endpoint has cached, so that no endpoint takes all the cold ones.

Any candidate holds the beginning of the prompt: 0.5 for everybody. Else the request is cold: the endpoints that got no
cold request yet come first, in their order, then the others, least recently used first; place i of n has the score
1 - i / (n - 1), and the only candidate has 1. A pick for a cold request makes its endpoint the most recently used one,
in the same step as the pick, so that a burst is spread too. At most lruSize endpoints (default 1024) are remembered.
Source: no-hit-lru-scorer of the reference endpoint picker; the matches come from approx-prefix-cache-producer.
"""

from collections import OrderedDict
from typing import Annotated

import msgspec
import numpy as np

from epp.core.config.structure import Section
from epp.core.domain.decision import Reservation
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match
from epp.core.state.columns import FloatColumn

WARM = 0.5


class NoHitLruParameters(Section, frozen=True):
    """`prefixPluginType` and `prefixPluginName` named the prefix scorer in older versions and have no effect here."""

    lru_size: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """endpoints"""
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""
    prefix_plugin_type: str = ""
    prefix_plugin_name: str = ""


class NoHitLruScorer:
    """`name` is the plugin's own; under it the cycle notes the profiles for whose candidates the request is cold."""

    def __init__(self, name: str, parameters: NoHitLruParameters) -> None:
        self._name = name
        self._producer = parameters.prefix_match_info_producer_name
        self._most = parameters.lru_size
        self._serial = 0
        self._serials: OrderedDict[int, int] = OrderedDict()
        """slot -> when it was last used, oldest first"""
        self._last_used = np.zeros(16, dtype=np.int64)
        """the same by slot, 0 for never"""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        match = prefix_match(cycle, self._producer)
        count = len(candidates)
        is_cold = not match.matched_blocks(candidates.slots).any()
        if not is_cold:
            return np.full(count, WARM)
        cycle.products.setdefault(self._name, set()).add(cycle.profile)
        if count == 1:
            return np.ones(1)
        self._make_room(int(candidates.slots.max()))
        order = np.argsort(self._last_used[candidates.slots], kind="stable")
        scores = np.empty(count)
        scores[order] = 1.0 - np.arange(count) / (count - 1)
        return scores

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """The slot of `reservation` was picked among candidates for which the request is cold."""
        if cycle.profile not in cycle.products.get(self._name, ()):
            return
        slot = reservation.slot
        self._make_room(slot)
        self._serial += 1
        self._serials[slot] = self._serial
        self._serials.move_to_end(slot)
        self._last_used[slot] = self._serial
        if len(self._serials) > self._most:
            oldest, _ = self._serials.popitem(last=False)
            self._last_used[oldest] = 0

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner, which was never used."""
        if self._serials.pop(slot, None) is not None:
            self._last_used[slot] = 0

    def _make_room(self, slot: int) -> None:
        missing = slot + 1 - len(self._last_used)
        if missing > 0:
            padding = np.zeros(max(missing, len(self._last_used)), dtype=np.int64)
            self._last_used = np.concatenate([self._last_used, padding])
