from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.ports import ObjectState
from epp.core.scheduling.session_bonds import (
    SessionAffinityParameters,
    SessionIdBond,
    SessionIdConfig,
    SessionIdSource,
    TokenBond,
    bond_of,
)
from epp.core.scheduling.session_token import NO_KEY, SessionKey
from tests.support.routed_requests import endpoint
from tests.support.small_pool import POOL, SmallPool


def bind(bond: SessionIdBond, pool: SmallPool, session: str, number: int) -> None:
    cycle = pool.cycle(headers={"x-session-id": session})
    reservation = pool.ledger.reserve(pool.slot(number), 1)
    bond.picked(cycle, reservation)
    pool.ledger.release(reservation)


def bound(bond: SessionIdBond, pool: SmallPool, session: str) -> int | None:
    return bond.bound_slot(pool.cycle(headers={"x-session-id": session}))


@pytest.mark.parametrize(("age_s", "is_bound"), [(0.0, True), (299.9, True), (300.0, False), (1e6, False)])
def test_a_binding_lives_for_its_ttl(age_s: float, is_bound: bool) -> None:
    pool, bond = SmallPool(2), SessionIdBond(SessionIdConfig())
    bind(bond, pool, "ada", 1)
    pool.now += age_s
    assert bound(bond, pool, "ada") == (pool.slot(1) if is_bound else None)


def test_every_request_renews_it_and_the_last_pick_counts() -> None:
    pool, bond = SmallPool(2), SessionIdBond(SessionIdConfig(eviction_ttl_seconds=10))
    bind(bond, pool, "ada", 1)
    pool.now += 9.0
    bind(bond, pool, "ada", 0)
    pool.now += 9.0
    assert bound(bond, pool, "ada") == pool.slot(0)


def test_expired_sessions_take_no_room() -> None:
    pool, bond = SmallPool(1), SessionIdBond(SessionIdConfig())
    for number in range(50):
        bind(bond, pool, f"s{number}", 0)
    pool.now += 300.0
    bind(bond, pool, "new", 0)
    assert len(bond) == 1


def test_the_least_recently_used_session_goes_first() -> None:
    pool, bond = SmallPool(1), SessionIdBond(SessionIdConfig(), most_sessions=2)
    for session in ("a", "b", "a", "c"):
        bind(bond, pool, session, 0)
    assert [bound(bond, pool, session) is not None for session in ("a", "b", "c")] == [True, False, True]


def test_a_slot_with_a_new_owner_is_not_bound() -> None:
    pool, bond = SmallPool(1), SessionIdBond(SessionIdConfig())
    bind(bond, pool, "ada", 0)
    for state in ((), (endpoint(7),)):
        pool.roster.objects_changed(ObjectState(POOL, state))
    assert pool.slot(0) == 0
    assert bound(bond, pool, "ada") is None


def test_sources_in_their_order() -> None:
    config = SessionIdConfig(sources=(SessionIdSource("X-First"), SessionIdSource("x-second")))
    pool, bond = SmallPool(2), SessionIdBond(config)
    bond.picked(pool.cycle(headers={"x-second": "ada", "x-first": "bob"}), pool.ledger.reserve(pool.slot(1), 1))
    assert bond.bound_slot(pool.cycle(headers={"x-first": "bob"})) == pool.slot(1)
    assert bond.bound_slot(pool.cycle(headers={"x-first": "", "x-second": "bob"})) == pool.slot(1)
    assert bond.bound_slot(pool.cycle(headers={"x-second": "ada"})) is None


def test_a_request_without_a_session_binds_nothing() -> None:
    pool, bond = SmallPool(1), SessionIdBond(SessionIdConfig())
    bond.picked(pool.cycle(), pool.ledger.reserve(pool.slot(0), 1))
    assert len(bond) == 0


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 2), st.floats(0, 20)), max_size=30))
def test_it_is_what_a_table_with_times_says(steps: list[tuple[str, int, float]]) -> None:
    pool, bond = SmallPool(3), SessionIdBond(SessionIdConfig(eviction_ttl_seconds=10), most_sessions=1000)
    table: dict[str, tuple[int, float]] = {}
    for session, number, pause_s in steps:
        pool.now += pause_s
        known = table.get(session)
        expected = None if known is None or known[1] <= pool.now else pool.slot(known[0])
        assert bound(bond, pool, session) == expected
        bind(bond, pool, session, number)
        if session:
            table[session] = (number, pool.now + 10)
    assert len(bond) <= len(table)


def test_the_strategy_of_the_parameters() -> None:
    assert isinstance(bond_of(SessionAffinityParameters(), SessionKey(b"k")), TokenBond)
    assert isinstance(bond_of(SessionAffinityParameters(strategy="session_id"), SessionKey(b"k")), SessionIdBond)


def test_header_names_are_found_in_lower_case() -> None:
    pool = SmallPool(1)
    bond = bond_of(
        msgspec.convert({"encodedEndpointHeaderConfig": {"header": "X-Mine"}}, SessionAffinityParameters), NO_KEY
    )
    header = bond.response_header(pool.endpoints[0])
    assert header is not None
    assert header[0] == "x-mine"
    assert bond.bound_slot(pool.cycle(headers=dict([header]))) == pool.slot(0)


@pytest.mark.parametrize(
    ("given_", "problem"),
    [
        ({"strategy": "cookie"}, "Invalid enum value 'cookie'"),
        ({"sessionIdConfig": {"sources": []}}, "sessionIdConfig.sources is empty"),
        ({"sessionIdConfig": {"evictionTtlSeconds": 0}}, "Expected `float` > 0.0"),
        ({"sessionIdConfig": {"sources": [{"attribute": "session"}]}}, "unknown field `attribute`"),
    ],
)
def test_mistakes_at_load(given_: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given_, SessionAffinityParameters)
