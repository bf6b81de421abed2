"""Pieces of a body become lines, whatever their size."""

from collections.abc import AsyncIterable, AsyncIterator

from epp.edge.objects.kubernetes.errors import Unreachable

MOST_LINE_BYTES = 32 * 1024 * 1024
"""far above what etcd stores of one object"""


async def lines(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Every line that is complete; what follows the last line break is left out.

    Raises Unreachable for a line that does not end within 32 MiB.
    """
    rest = bytearray()
    async for piece in pieces:
        *whole, last = piece.split(b"\n")
        for line in whole:
            if rest:
                rest += line
                yield bytes(rest)
                rest.clear()
            elif line:
                yield line
        rest += last
        if len(rest) > MOST_LINE_BYTES:
            raise Unreachable(f"a line of more than {MOST_LINE_BYTES} bytes")
