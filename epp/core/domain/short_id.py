"""Identifiers that clients choose are kept by queues, books and records, so they are kept short."""

from hashlib import blake2b
from typing import Final

LONGEST: Final = 200
_KEPT: Final = 100


def short_id(text: str) -> str:
    """`text`, or where it has more than 200 characters its first 100 and a digest that tells it from others."""
    if len(text) <= LONGEST:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:_KEPT]}~{digest}"
