"""Prompts and events in the small: a letter is a block of two tokens, and an engine's name of a block is its prefix.

stored("abc") are the blocks a, b and c from the beginning of a prompt; stored("abc", first=2) is only c, behind ab.
"""

import zlib

import numpy as np

from epp.core.kvevents import GPU, BlockRemoved, BlockStored, ExtraKey
from epp.core.state.token_blocks import TokenPrompt

BLOCK_TOKENS = 2


def token_ids(letters: str) -> bytes:
    """Two tokens a letter, little-endian uint32."""
    return np.array([token for letter in letters for token in (ord(letter), 7)], dtype="<u4").tobytes()


def prompt(letters: str, **fields: object) -> TokenPrompt:
    """`fields` are those of TokenPrompt."""
    return TokenPrompt(token_ids(letters), **fields)  # type: ignore[arg-type]


def name(prefix: str, adapter: str = "") -> int:
    """What the engine calls the last block of `prefix`."""
    return zlib.crc32(f"{adapter}/{prefix}".encode())


def stored(
    letters: str,
    *,
    first: int = 0,
    adapter: str = "",
    medium: str = GPU,
    extra_keys: tuple[tuple[ExtraKey, ...], ...] = (),
    group: int = 0,
    spec_kind: str = "",
) -> BlockStored:
    """Blocks from number `first` on."""
    return BlockStored(
        block_hashes=tuple(name(letters[: end + 1], adapter) for end in range(first, len(letters))),
        parent=name(letters[:first], adapter) if first else None,
        token_ids=token_ids(letters[first:]),
        block_tokens=BLOCK_TOKENS,
        adapter=adapter,
        extra_keys=extra_keys,
        medium=medium,
        group=group,
        spec_kind=spec_kind,
    )


def removed(*prefixes: str, medium: str = GPU, adapter: str = "", group: int = 0) -> BlockRemoved:
    """The last block of each prefix."""
    return BlockRemoved(tuple(name(prefix, adapter) for prefix in prefixes), medium, group)
