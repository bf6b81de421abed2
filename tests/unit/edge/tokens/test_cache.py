from epp.core.domain.request import MultimodalItem
from epp.edge.tokens.cache import ENTRY_BYTES, TokenCache
from epp.edge.tokens.questions import Told


def told(number: int, size: int = 100) -> Told:
    return Told(bytes([number]) * size)


def test_the_least_recently_used_is_dropped() -> None:
    cache = TokenCache(3 * (100 + ENTRY_BYTES))
    for number in range(3):
        cache.put(bytes([number]), told(number))
    assert cache.get(b"\0") == told(0)
    cache.put(b"\x03", told(3))
    assert [cache.get(bytes([number])) for number in range(4)] == [told(0), None, told(2), told(3)]
    assert cache.held_bytes == 3 * (100 + ENTRY_BYTES)


def test_what_does_not_fit_is_not_kept() -> None:
    cache = TokenCache(1000)
    cache.put(b"a", told(1, 1000))
    cache.put(b"b", Told(b"", (MultimodalItem("x", 0, 1),) * 3))
    assert cache.held_bytes == 0
    TokenCache(0).put(b"a", told(1))


def test_the_same_answer_twice_is_kept_once() -> None:
    cache = TokenCache(10_000)
    cache.put(b"a", told(1))
    cache.put(b"a", told(1))
    assert cache.held_bytes == 100 + ENTRY_BYTES
