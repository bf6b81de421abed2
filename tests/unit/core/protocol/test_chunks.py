"""A body is cut into views that are neither too long nor too many."""

import pytest

from epp.core.protocol.chunks import MAX_CHUNK_BYTES, cut


@pytest.mark.parametrize("size", [0, 1, MAX_CHUNK_BYTES - 1, MAX_CHUNK_BYTES])
def test_what_fits_is_one_piece(size: int) -> None:
    assert [len(piece) for piece in cut(b"x" * size)] == [size]


@pytest.mark.parametrize("size", [MAX_CHUNK_BYTES + 1, 2 * MAX_CHUNK_BYTES, 5 * MAX_CHUNK_BYTES + 17])
def test_what_does_not_fit_is_cut(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    pieces = list(cut(body))
    assert len(pieces) == -(-size // MAX_CHUNK_BYTES)
    assert all(len(piece) == MAX_CHUNK_BYTES for piece in pieces[:-1])
    assert b"".join(pieces) == body
    assert all(piece.obj is body for piece in pieces), "views, not copies"
