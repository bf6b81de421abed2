import msgspec
import pytest

from epp.core.domain.ports import ObjectState
from epp.core.scheduling.session_token import SessionTokens
from tests.support.small_pool import POOL, SmallPool

KEY = b"0123456789abcdef"


def test_a_token_leads_back_to_its_slot() -> None:
    pool, tokens = SmallPool(3, ranks=2), SessionTokens(KEY)
    for position, endpoint in enumerate(pool.endpoints):
        assert tokens.slot_of(tokens.token_of(endpoint), pool.snapshot) == pool.slot(position)


def test_it_is_128_bits_in_hex_and_says_nothing() -> None:
    endpoint = SmallPool(1).endpoints[0]
    token = SessionTokens(KEY).token_of(endpoint)
    assert len(bytes.fromhex(token)) == 16
    assert token == SessionTokens(KEY).token_of(endpoint)
    assert token != SessionTokens(KEY + b"x").token_of(endpoint)
    assert token != SessionTokens(b"").token_of(endpoint)


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
    SessionTokens(b"k" * 64)
    with pytest.raises(ValueError, match="the session key has 65 bytes; at most 64 are possible"):
        SessionTokens(b"k" * 65)
