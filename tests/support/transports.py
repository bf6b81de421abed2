"""Both transports, made alike. $EPP_TRANSPORT says which one tests use that are not about transports."""

import os
from collections.abc import Mapping

from epp.edge.extproc.grpc_transport import GrpcSettings, GrpcTransport
from epp.edge.extproc.http2.grpc_stream import Fault
from epp.edge.extproc.native_transport import NativeSettings, NativeTransport
from epp.edge.extproc.transport import HandlerFactory, Transport

KINDS = ("native", "grpcio")
USUAL = os.environ.get("EPP_TRANSPORT", "native")


def no_fault(event: str, request_id: str, error: BaseException) -> None:
    """A fault that nobody expects fails the test through the event loop's handler of lost errors."""
    raise AssertionError(f"{event} {request_id}") from error


def no_ending(peer: str, reason: str, detail: str) -> None:
    """The same for a connection that we end because of its peer."""
    raise AssertionError(f"{peer}: {reason}: {detail}")


def make_transport(
    kind: str,
    methods: Mapping[str, HandlerFactory],
    *,
    port: int = 0,
    max_message_bytes: int = 1 << 20,
    on_fault: Fault = no_fault,
) -> Transport:
    """On 127.0.0.1."""
    if kind == "native":
        return NativeTransport(NativeSettings("127.0.0.1", port, max_message_bytes), methods, on_fault, no_ending)
    return GrpcTransport(GrpcSettings("127.0.0.1", port, max_message_bytes), methods)
