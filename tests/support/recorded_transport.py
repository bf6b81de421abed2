"""A transport that keeps what is written to it."""

import asyncio


class RecordedTransport(asyncio.Transport):
    """`written` grows with every write; nothing is ever sent."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_aborted = False

    @property
    def written(self) -> bytes:
        """All of it."""
        return b"".join(self.writes)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio.Transport."""
        self.writes.append(bytes(data))

    def abort(self) -> None:
        """See asyncio.Transport."""
        self.is_aborted = True
