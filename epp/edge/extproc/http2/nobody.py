"""Who hears what is left of a stream that is answered or over: nobody."""

from typing import Final

from epp.edge.extproc.http2.stream import Buffer
from epp.edge.extproc.transport import Message


class _Nobody:
    """Of a request that is answered already."""

    def data(self, payload: Buffer) -> None:
        """Nothing."""

    def pieces(self, payloads: list[Buffer], size: int) -> None:
        """Nothing."""

    def ended(self) -> None:
        """Nothing."""

    def reset(self) -> None:
        """Nothing."""


NOBODY: Final = _Nobody()


class _Deaf:
    """StreamHandler of a stream that is over."""

    def message_announced(self, message_bytes: int) -> None:
        """Nothing."""

    def message_received(self, message: Message) -> None:
        """Nothing."""

    def half_closed(self) -> None:
        """Nothing."""

    def drain(self) -> None:
        """Nothing."""

    def closed(self) -> None:
        """Nothing."""


DEAF: Final = _Deaf()
