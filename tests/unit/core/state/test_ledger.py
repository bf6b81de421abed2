"""The in-flight ledger: every place is given back once, to whoever holds it then."""

import pytest

from epp.core.domain.decision import Reservation
from epp.core.state.ledger import InFlightLedger


def test_a_reservation_counts_until_it_is_released() -> None:
    ledger = InFlightLedger()
    first, second = ledger.reserve(3, tokens=10), ledger.reserve(3, tokens=5)
    assert (ledger.requests[3], ledger.tokens[3], ledger.open_count) == (2, 15, 2)
    assert ledger.release(first)
    assert (ledger.requests[3], ledger.tokens[3], ledger.open_count) == (1, 5, 1)
    assert ledger.release(second)
    assert (ledger.requests[3], ledger.tokens[3], ledger.open_count) == (0, 0, 0)


def test_only_the_first_release_counts() -> None:
    ledger = InFlightLedger()
    reservation = ledger.reserve(0, tokens=7)
    ledger.reserve(0, tokens=1)
    assert [ledger.release(reservation) for _ in range(3)] == [True, False, False]
    assert (ledger.requests[0], ledger.tokens[0]) == (1, 1)


def test_a_moved_reservation_is_released_where_it_is() -> None:
    ledger = InFlightLedger()
    reservation = ledger.reserve(0, tokens=7)
    ledger.move(reservation, 1)
    ledger.move(reservation, 1)
    assert (ledger.requests[:2].tolist(), ledger.tokens[:2].tolist()) == ([0, 1], [0, 7])
    ledger.move(reservation, 2)
    assert ledger.release(reservation)
    assert not ledger.requests.any()
    assert not ledger.tokens.any()


def test_nothing_moves_after_its_release() -> None:
    ledger = InFlightLedger()
    reservation = ledger.reserve(0, tokens=7)
    ledger.release(reservation)
    ledger.move(reservation, 1)
    assert not ledger.requests.any()
    assert not ledger.release(reservation)


def test_places_of_further_stages_are_counted_apart_as_long_as_they_are_open() -> None:
    ledger = InFlightLedger()
    primary, further = ledger.reserve(0, tokens=7), ledger.reserve(1, tokens=7, is_further=True)
    assert (ledger.open_count, ledger.open_further_count) == (2, 1)
    ledger.move(further, 2)
    assert [ledger.release(further) for _ in range(2)] == [True, False]
    assert (ledger.open_count, ledger.open_further_count) == (1, 0)
    assert ledger.release(primary)
    assert not ledger.requests.any()


def test_a_handle_of_nobody_changes_nothing() -> None:
    ledger = InFlightLedger()
    ledger.reserve(0, tokens=1)
    stranger = Reservation(slot=0, generation=0, serial=999, tokens=1)
    assert not ledger.release(stranger)
    ledger.move(stranger, 1)
    assert ledger.requests[:2].tolist() == [1, 0]


def test_a_slot_changes_owner_only_when_it_is_idle() -> None:
    ledger = InFlightLedger()
    generation = ledger.renew(0)
    reservation = ledger.reserve(0, tokens=1)
    assert (reservation.slot, reservation.generation) == (0, generation)
    assert not ledger.is_idle(0)
    with pytest.raises(ValueError, match="slot 0 still has 1 requests in flight"):
        ledger.renew(0)
    ledger.release(reservation)
    assert ledger.is_idle(0)
    assert ledger.renew(0) == ledger.generation(0) == generation + 1


def test_room_for_more_slots_keeps_what_is_counted() -> None:
    ledger = InFlightLedger(slots=2)
    reservation = ledger.reserve(1, tokens=4)
    ledger.renew(0)
    ledger.reserve_slots(100)
    assert (ledger.requests[1], ledger.tokens[1], ledger.generation(0)) == (1, 4, 1)
    assert ledger.is_idle(99)
    late = ledger.reserve(99, tokens=1)
    assert ledger.release(reservation)
    assert ledger.release(late)
    ledger.reserve_slots(1)
    assert len(ledger.requests) >= 100
