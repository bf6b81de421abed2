"""Prompts are of the size that was asked for, begin alike, and are never the same."""

import msgspec
import pytest

from bench.gateway.bodies import RING, SHARED_PROMPTS, ring
from epp.core.state.block_hashes import hash_blocks

BLOCK_BYTES = 64


def body(prompt_bytes: int, number: int, *, is_streamed: bool = False) -> bytes:
    templates = ring(prompt_bytes, is_streamed=is_streamed)
    return b"".join(templates[number % len(templates)].pieces(number))


def prompt(text: bytes) -> bytes:
    return b"".join(message["content"].encode() for message in msgspec.json.decode(text)["messages"])


@pytest.mark.parametrize("prompt_bytes", [800, 20_000, 220_000])
def test_the_prompt_has_about_the_size(prompt_bytes: int) -> None:
    assert 0.95 * prompt_bytes < len(prompt(body(prompt_bytes, 0))) < 1.05 * prompt_bytes


def test_the_size_of_a_body_is_known_beforehand() -> None:
    for number, template in enumerate(ring(800, is_streamed=False)):
        assert template.size_bytes == len(b"".join(template.pieces(number)))


def test_half_is_shared_and_the_rest_is_new_even_in_the_next_lap() -> None:
    first, again, other = (prompt(body(20_000, number)) for number in (0, RING, 1))
    assert first[:10_000] == again[:10_000]
    assert first[:10_000] != other[:10_000]
    blocks = [list(hash_blocks(each, BLOCK_BYTES, "m", 1 << 20)) for each in (first, again)]
    same = sum(one == two for one, two in zip(*blocks, strict=True))
    assert 0.48 < same / len(blocks[0]) < 0.52
    assert len({prompt(body(800, number))[:400] for number in range(RING)}) == SHARED_PROMPTS


def test_a_streamed_one_asks_for_it() -> None:
    assert msgspec.json.decode(body(800, 3, is_streamed=True))["stream"] is True
    assert "stream" not in msgspec.json.decode(body(800, 3))
