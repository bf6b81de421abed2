"""One scheduling cycle: a request, the candidates, and what plugins may look at while they judge them."""

from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import ScoreCard
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.record import Record
from epp.core.domain.request import InferenceRequest
from epp.core.state.columns import FloatColumn
from epp.core.state.ledger import InFlightLedger
from epp.core.state.snapshot import PoolSnapshot

Positions = NDArray[np.intp]
MOST_TOKENS: Final = 1e12
"""a cache that is said to be larger is not believed"""
ScrapedSignal = Literal["waiting", "running", "kv_usage"]


FEW: Final = 32
"""candidates up to which plain numbers are quicker than arrays"""


class Candidates:
    """An ordered choice among the endpoints of a snapshot."""

    __slots__ = ("_plain_slots", "positions", "slots", "snapshot")

    def __init__(self, snapshot: PoolSnapshot, positions: Positions | None = None) -> None:
        self.snapshot = snapshot
        self.positions: Positions = np.arange(len(snapshot.endpoints)) if positions is None else positions
        self.slots: Positions = snapshot.slots if positions is None else snapshot.slots[positions]
        self._plain_slots: list[int] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def endpoint(self, index: int) -> Endpoint:
        """The endpoint of candidate number `index`."""
        everyone = self.snapshot.endpoints
        return everyone[index if self.slots is self.snapshot.slots else int(self.positions[index])]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All candidates in order."""
        everyone = self.snapshot.endpoints
        if self.slots is self.snapshot.slots:
            return everyone
        return tuple(everyone[position] for position in self.positions.tolist())

    @property
    def plain_slots(self) -> list[int]:
        """`slots` as plain numbers; not to be changed."""
        plain = self._plain_slots
        if plain is None:
            plain = self._plain_slots = self.slots.tolist()
        return plain

    def keep(self, indices: Sequence[int] | NDArray[np.intp] | NDArray[np.bool_]) -> "Candidates":
        """The candidates at `indices` in that order, or where a boolean mask is true."""
        chosen = np.asarray(indices) if len(indices) else np.empty(0, dtype=np.intp)
        return Candidates(self.snapshot, self.positions[chosen])


class ProfileResult(Record):
    """What one profile came to: who was left by its filters, indices into these, best first, and the scores."""

    def __init__(self, left: Candidates, picked: list[int], card: ScoreCard) -> None:
        self.left: Final = left
        self.picked: Final = picked
        self.card: Final = card

    @property
    def position(self) -> int:
        """Of the endpoint that was picked, in the snapshot."""
        return int(self.left.positions[self.picked[0]])

    @property
    def slot(self) -> int:
        """Of the endpoint that was picked."""
        return self.left.slots.item(self.picked[0])

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that was picked."""
        return self.left.endpoint(self.picked[0])

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The picked one first, then the fallbacks."""
        return tuple([self.left.endpoint(index) for index in self.picked])


class Cycle:
    """What plugins see of one decision.

    `products` holds what producers made, by the producer's plugin name; `results` what each profile came to that has
    run, None where it left nobody. `profile` is the profile whose candidates are being judged, or whose pick is being
    told; `primary`, known when picks are told, is the one whose endpoint answers the request.
    """

    __slots__ = ("ledger", "now", "primary", "products", "profile", "request", "results", "rng", "snapshot", "tokens")

    def __init__(
        self, request: InferenceRequest, snapshot: PoolSnapshot, ledger: InFlightLedger, now: float, rng: Random
    ) -> None:
        self.request = request
        self.tokens = request.token_count
        """of the prompt"""
        self.snapshot = snapshot
        self.ledger = ledger
        self.now = now
        self.rng = rng
        self.products: dict[str, Any] = {}
        self.results: dict[str, ProfileResult | None] = {}
        self.profile = ""
        self.primary = ""

    def is_stale(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Which candidates have not been scraped for longer than the snapshot's limit."""
        updated_at = self.snapshot.load.updated_at[candidates.slots]
        stale: NDArray[np.bool_] = updated_at < self.now - self.snapshot.metrics_stale_after_s
        return stale

    def scraped(self, signal: ScrapedSignal, candidates: Candidates) -> FloatColumn:
        """A scraped signal, shape (candidates,).

        A silent endpoint counts as one worse than the worst that is known, so that it loses preference without
        touching the others; when everybody is silent the last values stand.
        """
        column: FloatColumn = getattr(self.snapshot.load, signal)
        values: FloatColumn = column[candidates.slots]
        stale = self.is_stale(candidates)
        if stale.any() and not stale.all():
            worst = values[~stale].max()
            values = np.where(stale, np.maximum(values, worst + 1.0), values)
        return values

    def corrected(self, signal: ScrapedSignal, candidates: Candidates) -> FloatColumn:
        """A scraped signal with our own books as its lower bound, shape (candidates,).

        waiting = max(q + sent, n - r), running = max(r, n - q), kv_usage = min(1, u + sent tokens / capacity), where
        sent is what we sent since the scrape and n what we have in flight: an engine publishes once per step, so a
        burst is over before a scrape can show it.
        """
        values = self.scraped(signal, candidates)
        slots, load, ledger = candidates.slots, self.snapshot.load, self.ledger
        if signal == "kv_usage":
            capacity = np.minimum(load.kv_blocks[slots], MOST_TOKENS) * np.minimum(
                load.kv_block_tokens[slots], MOST_TOKENS
            )
            sent_tokens = ledger.sent_tokens[slots] - load.sent_tokens[slots]
            added = np.divide(sent_tokens, capacity, out=np.zeros(len(slots)), where=capacity > 0.0)
            return np.where(values > 1.0, values, np.minimum(1.0, values + added))
        in_flight = ledger.requests[slots]
        if signal == "waiting":
            sent = ledger.sent[slots] - load.sent[slots]
            return np.maximum(values + sent, in_flight - load.running[slots])
        return np.maximum(values, in_flight - load.waiting[slots])

    def in_flight(self, candidates: Candidates) -> NDArray[np.int64]:
        """Our own unfinished requests, shape (candidates,)."""
        return self.ledger.requests[candidates.slots]
