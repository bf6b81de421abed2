"""What only the transport on the gRPC library has to see to."""

from typing import Any

import grpc.aio
import pytest

from epp.edge.extproc import grpc_transport
from epp.edge.extproc.transport import PROCESS
from tests.support.lost_errors import no_lost_errors

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_write_that_fails_ends_the_writing_and_is_no_lost_error() -> None:
    """Seldom seen: mostly the reading task is cancelled before a write fails."""
    written: list[bytes] = []

    class GoneAfterOne:
        async def write(self, message: bytes) -> None:
            if written:
                raise grpc.aio.InternalError("the peer has gone")
            written.append(message)

    context: Any = GoneAfterOne()
    stream = grpc_transport._GrpcStream(PROCESS, context)
    with no_lost_errors():
        for message in (b"a", b"b", b"c"):
            stream.send(message)
        assert stream._flusher is not None
        await stream._flusher
        stream.send(b"d")
        await stream._flusher
        del stream
    assert written == [b"a"]
