import msgspec
import pytest

from epp.core.domain.ports import ObjectState
from epp.core.scheduling.session_token import NO_KEY, SessionKey, SessionTokens
from tests.support.small_pool import POOL, SmallPool

KEY = SessionKey(b"0123456789abcdef")


def test_a_token_leads_back_to_its_slot() -> None:
    pool, tokens = SmallPool(3, ranks=2), SessionTokens(KEY)
    for position, endpoint in enumerate(pool.endpoints):
        assert tokens.slot_of(tokens.token_of(endpoint), pool.snapshot) == pool.slot(position)


def test_it_is_128_bits_in_hex_and_says_nothing() -> None:
    endpoint = SmallPool(1).endpoints[0]
    token = SessionTokens(KEY).token_of(endpoint)
    assert len(bytes.fromhex(token)) == 16
    assert token == SessionTokens(KEY).token_of(endpoint)
    assert token != SessionTokens(SessionKey(b"another")).token_of(endpoint)
    assert token != SessionTokens(NO_KEY).token_of(endpoint)


def test_it_is_void_for_a_pod_that_was_restarted() -> None:
    pool, tokens = SmallPool(1), SessionTokens(KEY)
    before = tokens.token_of(pool.endpoints[0])
    restarted = msgspec.structs.replace(pool.endpoints[0], incarnation="uid/1")
    pool.roster.objects_changed(ObjectState(POOL, (restarted,)))

    assert tokens.slot_of(before, pool.snapshot) is None
    assert tokens.slot_of(tokens.token_of(restarted), pool.snapshot) == pool.slot(0)


@pytest.mark.parametrize("token", ["", "x", "0" * 32, "ZGVmYXVsdC92bGxtLTAtcmFuay0w", "\udc80"])
def test_an_unknown_token_is_nobodys(token: str) -> None:
    assert SessionTokens(KEY).slot_of(token, SmallPool(2).snapshot) is None


def test_a_key_that_is_too_long_is_refused() -> None:
    SessionKey(b"k" * 64)
    with pytest.raises(ValueError, match="the session key has 65 bytes; at most 64 are possible"):
        SessionKey(b"k" * 65)


def pool_with(uid: str) -> SmallPool:
    pool = SmallPool(1)
    pool.roster.objects_changed(ObjectState(msgspec.structs.replace(POOL, uid=uid), pool.endpoints))
    return pool


def token_in(pool: SmallPool, key: SessionKey) -> str:
    tokens = SessionTokens(key)
    tokens.follow(pool.snapshot)
    return tokens.token_of(pool.endpoints[0])


def test_without_a_key_of_the_operator_all_replicas_make_one_from_the_uid_of_the_pool() -> None:
    one, other = SessionKey(own=b"of one process"), SessionKey(own=b"of another")
    assert token_in(pool_with("uid-1"), one) == token_in(pool_with("uid-1"), other)
    assert token_in(pool_with("uid-1"), one) != token_in(pool_with("uid-2"), one)
    assert token_in(pool_with("uid-1"), SessionKey(b"given")) == token_in(pool_with("uid-2"), SessionKey(b"given"))


def test_a_pool_without_uid_has_a_key_of_the_process() -> None:
    one, other = SessionKey(own=b"of one process"), SessionKey(own=b"of another")
    assert token_in(pool_with(""), one) != token_in(pool_with(""), other)


def test_a_pool_that_was_made_anew_voids_its_tokens() -> None:
    pool, tokens = pool_with("uid-1"), SessionTokens(SessionKey(own=b"x"))
    tokens.follow(pool.snapshot)
    token = tokens.token_of(pool.endpoints[0])
    assert tokens.slot_of(token, pool.snapshot) == pool.slot(0)
    pool.roster.objects_changed(ObjectState(msgspec.structs.replace(POOL, uid="uid-2"), pool.endpoints))
    assert tokens.slot_of(token, pool.snapshot) is None
