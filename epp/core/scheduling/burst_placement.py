"""Where the requests of a burst go, so that those whose prompts begin alike go together.

A unit is what stays together: all prompts with the same whole blocks, if they are at least two; and, with
least_shared_blocks > 0, also a single prompt that has at least so many leading blocks in common with another one of the
burst. Anything else shares nothing worth a detour and is left to the scorers. Then, one unit after the other, those of
several requests before single ones, longer prompts before shorter ones:

1. to the endpoint that already got the most leading blocks of it from this burst, if these are at least
   least_shared_blocks and the endpoint has less than its fair share of the burst;
2. else to the endpoint with the least load: what it has in flight, and what this burst brings it.

An endpoint takes at most most_per_endpoint requests of one unit, the next ones go to another endpoint in the same way;
who is over when every endpoint has its part is left to the scorers. Load is counted in requests, or in the prompt
tokens that the endpoint has to compute: leading blocks that it has from this burst already count nothing. The fair
share is the load of all units, nothing shared, divided by the number of endpoints.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from epp.core.state.block_hashes import BlockHash, Chain
from epp.core.state.columns import FloatColumn
from epp.core.state.prefix_index import PrefixIndex

Unit = list[int]
"""indices of requests whose prompts have the same whole blocks"""


class BurstPrompt(msgspec.Struct, frozen=True):
    """One request of the burst."""

    chain: Chain
    """hashes of the leading whole blocks; empty: nothing to share"""
    tokens: int


class PlacementRules(msgspec.Struct, frozen=True):
    """See the module."""

    block_tokens: int
    most_per_endpoint: int | None = None
    """None: no limit"""
    least_shared_blocks: int = 0
    """0: only prompts with the same blocks go together"""
    by_tokens: bool = False


def place(prompts: Sequence[BurstPrompt], loads: FloatColumn, rules: PlacementRules) -> list[int | None]:
    """The index of the endpoint of every prompt, None where there is no preference.

    `loads` is what the endpoints have in flight, shape (endpoints,), in requests or tokens; of equal ones the first is
    taken.
    """
    return _Placement(prompts, loads, rules).run()


class _Placement:
    """The state of one call of `place`."""

    def __init__(self, prompts: Sequence[BurstPrompt], loads: FloatColumn, rules: PlacementRules) -> None:
        self._prompts = prompts
        self._rules = rules
        self._loads = loads.astype(np.float64)
        self._placed = np.zeros(len(loads))
        self._index = PrefixIndex()
        self._has_index = bool(rules.least_shared_blocks or rules.by_tokens)
        self._fair_share = 0.0

    def run(self) -> list[int | None]:
        found: list[int | None] = [None] * len(self._prompts)
        units = self._units()
        if not len(self._loads) or not units:
            return found
        self._fair_share = sum(self._cost(unit, 0) for unit in units) / len(self._loads)
        for unit in units:
            taken: set[int] = set()
            for part in self._parts(unit):
                endpoint = self._put(part, taken)
                if endpoint is None:
                    break
                for index in part:
                    found[index] = endpoint
        return found

    def _units(self) -> list[Unit]:
        """In the order in which they are placed."""
        alike: dict[BlockHash, Unit] = {}
        families: Counter[BlockHash] = Counter()
        least = self._rules.least_shared_blocks
        for index, prompt in enumerate(self._prompts):
            if len(prompt.chain):  # hashes are chained, so that the last one stands for all
                alike.setdefault(int(prompt.chain[-1]), []).append(index)
                if least and len(prompt.chain) >= least:
                    families[int(prompt.chain[least - 1])] += 1
        units = [unit for unit in alike.values() if len(unit) > 1 or self._has_family(unit, families)]
        return sorted(units, key=lambda unit: (len(unit) == 1, -len(self._chain(unit)), -len(unit)))

    def _has_family(self, unit: Unit, families: Counter[BlockHash]) -> bool:
        least, chain = self._rules.least_shared_blocks, self._chain(unit)
        return 0 < least <= len(chain) and families[int(chain[least - 1])] > 1

    def _chain(self, unit: Unit) -> Chain:
        return self._prompts[unit[0]].chain

    def _parts(self, unit: Unit) -> Iterator[Unit]:
        most = self._rules.most_per_endpoint or len(unit)
        return (unit[start : start + most] for start in range(0, len(unit), most))

    def _put(self, part: Unit, taken: set[int]) -> int | None:
        """Gives a part of a unit to an endpoint that is not `taken`, and takes that; None when all are."""
        if len(taken) == len(self._loads):
            return None
        chain = self._chain(part)
        shared = self._index.match(chain) if self._has_index else {}
        endpoint = self._nearest(shared, taken)
        if endpoint is None:
            endpoint = self._least_loaded(taken)
        cost = self._cost(part, shared.get(endpoint, 0))
        self._loads[endpoint] += cost
        self._placed[endpoint] += cost
        if self._has_index:
            self._index.insert(endpoint, chain, self._index.held_by(endpoint) + len(chain))
        taken.add(endpoint)
        return endpoint

    def _nearest(self, shared: dict[int, int], taken: set[int]) -> int | None:
        least = self._rules.least_shared_blocks
        near = [
            endpoint
            for endpoint, blocks in shared.items()
            if 0 < least <= blocks and self._placed[endpoint] < self._fair_share and endpoint not in taken
        ]
        return max(near, key=lambda endpoint: (shared[endpoint], -self._loads[endpoint]), default=None)

    def _least_loaded(self, taken: set[int]) -> int:
        loads = self._loads
        if taken:
            loads = loads.copy()
            loads[list(taken)] = np.inf
        return int(loads.argmin())

    def _cost(self, unit: Unit, shared_blocks: int) -> float:
        if not self._rules.by_tokens:
            return float(len(unit))
        blocks, block_tokens = len(self._chain(unit)), self._rules.block_tokens
        own = sum(max(0, self._prompts[index].tokens - blocks * block_tokens) for index in unit)
        return float((blocks - shared_blocks) * block_tokens + own)
