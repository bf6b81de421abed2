"""Prefix indexes of two pickers: what one sends where, the other knows a moment later."""

from typing import Any

import msgspec

from epp.app.prefix_exchange import MOST_NOTES, PrefixExchange
from epp.core.config.load import default_config
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.state.block_hashes import Chain, hash_blocks
from epp.core.state.ledger import InFlightLedger

SHORT = hash_blocks(b"x" * 640, 64, "seed", 10_000)
LONG = hash_blocks(bytes(range(256)) * 64, 64, "seed", 10_000)
LONGEST = hash_blocks(bytes(range(256)) * 1_000, 64, "seed", 10_000)


class OnePicker:
    """An index with its exchange and books of slots."""

    def __init__(self) -> None:
        self.ledger = InFlightLedger()
        self.woken = 0
        self.exchange = PrefixExchange(self.ledger, self._wake)
        self.policy = build_policy(default_config(CATALOGUE))
        self.exchange.follow(self.policy)
        ((self.name, self.index),) = (
            (named.name, named.plugin)
            for named in self.policy.producers
            if isinstance(named.plugin, ApproxPrefixCacheProducer)
        )

    def sends(self, slot: int, chain: Chain, capacity: int = 1000) -> None:
        """As the producer does when it learns of a pick."""
        self.index.insert(slot, chain, capacity)
        assert self.index.inserted is not None
        self.index.inserted(slot, chain, capacity)

    def knows(self, chain: Chain) -> dict[int, int]:
        index: Any = self.index
        found: dict[int, int] = index._index.match(chain)
        return found

    def _wake(self) -> None:
        self.woken += 1


def test_the_other_knows_as_much_and_tells_nothing_back() -> None:
    one, other = OnePicker(), OnePicker()
    one.sends(3, SHORT)
    one.sends(4, LONG)
    one.sends(5, LONGEST, capacity=10_000)
    assert one.woken == 1, "once for a batch"
    other.exchange.heard(one.exchange.taken())
    for chain in (SHORT, LONG, LONGEST):
        assert other.knows(chain) == one.knows(chain) != {}
    assert other.exchange.taken() == []
    one.sends(3, LONG)
    assert one.woken == 2


def test_what_is_beyond_the_capacity_of_the_endpoint_is_not_told() -> None:
    one = OnePicker()
    one.sends(3, LONG, capacity=70)
    (note,) = one.exchange.taken()
    assert len(note.chain) == 70 * 8
    assert note.capacity == 70


def test_a_note_of_a_former_owner_or_of_another_policy_is_dropped() -> None:
    one, other = OnePicker(), OnePicker()
    one.sends(3, SHORT)
    (note,) = one.exchange.taken()
    other.ledger.renew(3)
    wrong = msgspec.structs.replace(note, producer="another", generation=1)
    far = msgspec.structs.replace(note, slot=10_000)
    other.exchange.heard([note, wrong, far])
    assert other.knows(SHORT) == {}
    other.exchange.heard([msgspec.structs.replace(note, generation=1)])
    assert other.knows(SHORT) == {3: len(SHORT)}


def test_the_oldest_are_dropped_when_nobody_takes_them() -> None:
    one = OnePicker()
    for number in range(MOST_NOTES + 5):
        one.sends(number % 16, SHORT)
    notes = one.exchange.taken()
    assert len(notes) == MOST_NOTES
    assert one.exchange.dropped == 5
    assert notes[0].slot == 5


def test_another_policy_is_followed_and_the_former_one_is_not() -> None:
    one = OnePicker()
    one.exchange.follow(build_policy(default_config(CATALOGUE)))
    assert one.index.inserted is None
