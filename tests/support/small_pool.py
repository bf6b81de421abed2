"""A pool of a few endpoints with a roster, a ledger and a clock of its own: for tests of scheduling.

pool = SmallPool(3)
pool.report(0, waiting=2)
QueueScorer().score(pool.cycle(), pool.candidates)
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from epp.core.domain.endpoint import NO_LABELS
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.core.state.snapshot import PoolSnapshot
from tests.support.routed_requests import endpoint

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))


def text_request(prompt: str, **fields: Any) -> InferenceRequest:
    """A request with a text prompt; `fields` are those of InferenceRequest."""
    return InferenceRequest("r", prompt=Prompt(PromptKind.TEXT, prompt.encode()), **fields)


class SmallPool:
    """Endpoints `vllm-0`, `vllm-1`, ...; nothing is known of their load until `report`."""

    def __init__(self, count: int, *, ranks: int = 1, seed: int = 1, labels: Sequence[Mapping[str, str]] = ()) -> None:
        """`labels` are those of the pods in order; the rest has none."""
        self.now = 1000.0
        self.rng = Random(seed)
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, lambda: self.now)
        self.endpoints = tuple(
            endpoint(number, rank=rank, labels=labels[number] if number < len(labels) else NO_LABELS)
            for number in range(count)
            for rank in range(ranks)
        )
        self.roster.objects_changed(ObjectState(POOL, self.endpoints))

    @property
    def snapshot(self) -> PoolSnapshot:
        return self.roster.current

    @property
    def candidates(self) -> Candidates:
        """Everybody."""
        return Candidates(self.snapshot)

    def slot(self, number: int) -> int:
        """The slot of endpoint `number`."""
        return int(self.snapshot.slots[number])

    def report(self, number: int, **signals: Any) -> None:
        """A scrape of endpoint `number`; `signals` are those of LoadReport."""
        self.roster.load_reported(self.endpoints[number], LoadReport(**signals))

    def hold(self, number: int, requests: int = 1) -> None:
        """Requests of ours that are in flight at endpoint `number`."""
        for _ in range(requests):
            self.ledger.reserve(self.slot(number), tokens=1)

    def cycle(
        self, request: InferenceRequest | None = None, *, headers: Mapping[str, str] | None = None, **products: object
    ) -> Cycle:
        """A cycle that is about to judge."""
        cycle = Cycle(
            request or InferenceRequest("r", headers=headers or {}), self.snapshot, self.ledger, self.now, self.rng
        )
        cycle.products.update(products)
        return cycle
