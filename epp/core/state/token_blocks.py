"""A prompt of token ids as a chain of block keys: equal keys at block i mean equal tokens, adapter, salt and
multimodal items from the beginning to the end of block i.

key(i) = xxh3(tokens of block i, seed = key(i-1) xor extra(i)), 64 bits, from a root that stands for adapter and block
size. extra(i) is 0, or a digest of what the engine hashes beside the tokens: the multimodal items that reach into the
block, each as (identifier, offset relative to the block), and in the first block the cache salt; those are also the
`extra_keys` of vLLM's events (vllm/v1/core/kv_cache_utils.py). The adapter is in the root and left out there. Keys are
the picker's own, so an engine may hash its blocks however it likes.
"""

from collections.abc import Mapping, Sequence

import msgspec
import xxhash

from epp.core.domain.request import MultimodalItem
from epp.core.kvevents import ExtraKey

TOKEN_BYTES = 4
_NO_EXTRAS: Mapping[int, int] = {}
_encode = msgspec.msgpack.encode


class TokenPrompt(msgspec.Struct, frozen=True):
    """What decides which blocks a prompt can use."""

    token_ids: bytes | memoryview
    """little-endian uint32"""
    adapter: str = ""
    """empty: the base model"""
    cache_salt: str = ""
    multimodal: tuple[MultimodalItem, ...] = ()

    def block_count(self, block_tokens: int) -> int:
        """Whole blocks."""
        return len(self.token_ids) // (block_tokens * TOKEN_BYTES)


def root_key(adapter: str, block_tokens: int) -> int:
    """Where every chain of this adapter begins."""
    return xxhash.xxh3_64_intdigest(f"{block_tokens}\0{adapter}".encode("utf-8", "surrogatepass"))


def chain_keys(parent: int, token_ids: bytes | memoryview, block_tokens: int, extras: Mapping[int, int]) -> list[int]:
    """Keys of the whole blocks of `token_ids`, which follow the block of key `parent`; `extras` by number of block."""
    digest = xxhash.xxh3_64_intdigest
    step = block_tokens * TOKEN_BYTES
    view = memoryview(token_ids)
    keys = []
    for number in range(len(view) // step):
        parent = digest(view[number * step : (number + 1) * step], seed=parent ^ extras.get(number, 0))
        keys.append(parent)
    return keys


def prompt_extras(prompt: TokenPrompt, block_tokens: int) -> Mapping[int, int]:
    """extra(i) of the blocks of a prompt that have any."""
    if not prompt.multimodal and not prompt.cache_salt:
        return _NO_EXTRAS
    keys: dict[int, list[ExtraKey]] = {}
    for item in sorted(prompt.multimodal, key=lambda item: item.offset):
        last = (item.offset + max(1, item.length) - 1) // block_tokens
        for number in range(item.offset // block_tokens, min(last + 1, prompt.block_count(block_tokens))):
            keys.setdefault(number, []).append((item.identifier, item.offset - number * block_tokens))
    if prompt.cache_salt:
        keys.setdefault(0, []).append(prompt.cache_salt)
    return {number: extra_digest(found) for number, found in keys.items()}


def event_extras(extra_keys: Sequence[Sequence[ExtraKey]], adapter: str) -> Mapping[int, int]:
    """extra(i) of the blocks of an event; the adapter, which is in the root, is left out."""
    extras = {}
    for number, keys in enumerate(extra_keys):
        own = keys[1:] if adapter and keys and keys[0] == adapter else keys
        if own:
            extras[number] = extra_digest(own)
    return extras


def extra_digest(keys: Sequence[ExtraKey]) -> int:
    """64 bits that stand for the keys of one block."""
    return xxhash.xxh3_64_intdigest(_encode(list(keys)))
