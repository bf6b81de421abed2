"""Cuts a body into the pieces that go back to the proxy in full-duplex mode."""

from collections.abc import Iterator
from typing import Final

MAX_CHUNK_BYTES: Final = 62_000
"""below the 64 KiB that Envoy's documentation recommends for one streamed response; the reference's size"""


def cut(data: bytes | memoryview) -> Iterator[memoryview]:
    """Views of at most MAX_CHUNK_BYTES; one empty view for an empty body."""
    view = memoryview(data)
    yield view[:MAX_CHUNK_BYTES]
    for start in range(MAX_CHUNK_BYTES, len(view), MAX_CHUNK_BYTES):
        yield view[start : start + MAX_CHUNK_BYTES]
