"""Token ids without a tokenizer, and the chained hashes of their KV blocks.

A token is four bytes: text is cut into groups of four UTF-8 bytes (the last one padded with zeros), so a text has
ceil(bytes / 4) tokens; ids given as integers are stored as unsigned 32-bit numbers. A token sequence is therefore a
plain `bytes` of 4 * tokens.
"""

from array import array
from collections.abc import Iterable, Sequence

import xxhash

TOKEN_BYTES = 4


def token_count(tokens: bytes | bytearray) -> int:
    """Number of tokens in a token sequence."""
    return len(tokens) // TOKEN_BYTES


def text_tokens(text: str) -> bytes:
    """Tokens of a text; lone surrogates, which JSON can carry, are kept."""
    encoded = text.encode("utf-8", "surrogatepass")
    return encoded + b"\0" * (-len(encoded) % TOKEN_BYTES)


def id_tokens(ids: Sequence[int]) -> bytes:
    """Tokens given by number. Raises OverflowError when an id is negative or above 2**32 - 1."""
    return array("I", ids).tobytes()


def chat_tokens(turns: Iterable[tuple[str, str]], preamble: str = "") -> bytes:
    """Tokens of a conversation, given as (role, content) turns, ready for the assistant to speak.

    Header, content and end marker are cut into tokens separately, as special tokens do in real chat templates: an
    answer that comes back as a turn of the next request has the token ids it was generated with, so its blocks are
    cache hits.
    """
    parts = [text_tokens(preamble)] if preamble else []
    for role, content in turns:
        parts += (text_tokens(f"<|{role}|>"), text_tokens(content), text_tokens("<|end|>"))
    parts.append(text_tokens("<|assistant|>"))
    return b"".join(parts)


def root_hash(adapter_id: int, cache_salt: str) -> int:
    """Seed of a hash chain: blocks are shared only within one adapter (0: none) and one cache salt."""
    return xxhash.xxh3_64_intdigest(cache_salt.encode("utf-8", "surrogatepass"), seed=adapter_id)


def block_hashes(tokens: bytes | bytearray, block_size: int, parent: int, first_block: int = 0) -> list[int]:
    """Hashes of the full blocks from `first_block` on; each is seeded with the hash of the block before (`parent`)."""
    block_bytes = block_size * TOKEN_BYTES
    hashes = []
    view = bytes(tokens)
    for start in range(first_block * block_bytes, len(view) - block_bytes + 1, block_bytes):
        parent = xxhash.xxh3_64_intdigest(view[start : start + block_bytes], seed=parent)
        hashes.append(parent)
    return hashes
