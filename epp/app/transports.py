"""The gRPC servers of a picker: which transport, where, with which certificate."""

from collections.abc import Mapping

from epp.app.certificates import grpc_pair, grpc_tls
from epp.app.listening import host_of
from epp.app.options import ServeOptions, TransportKind
from epp.core.domain.ports import Clock
from epp.edge.extproc.http2.protocol import Ended
from epp.edge.extproc.native_transport import NativeSettings, NativeTransport
from epp.edge.extproc.services import FaultLog
from epp.edge.extproc.transport import HandlerFactory, Transport
from epp.edge.observe.logs import Logger

MOST_HEALTH_BYTES = 1 << 16


def ext_proc_transport(
    options: ServeOptions,
    methods: Mapping[str, HandlerFactory],
    faults: FaultLog,
    clock: Clock,
    logger: Logger,
    *,
    on_ended: Ended,
) -> Transport:
    """That of the ext_proc port; raises InvalidInput for a certificate that cannot be used."""
    if options.transport is TransportKind.NATIVE:
        settings = NativeSettings(
            options.bind_address, options.grpc_port, options.max_body_bytes, grpc_tls(options, clock, logger)
        )
        return NativeTransport(settings, methods, faults.fault, on_ended)
    # The library takes 15 MiB, for which a picker on the native transport has no use.
    from epp.edge.extproc.grpc_transport import GrpcSettings, GrpcTransport  # noqa: PLC0415
    from epp.edge.extproc.tls import grpc_credentials  # noqa: PLC0415

    pair = grpc_pair(options, clock, logger)
    return GrpcTransport(
        GrpcSettings(
            address=host_of(options.bind_address),
            port=options.grpc_port,
            max_message_bytes=options.max_body_bytes,
            credentials=None if pair is None else grpc_credentials(pair),
        ),
        methods,
    )


def health_transport(
    options: ServeOptions, methods: Mapping[str, HandlerFactory], faults: FaultLog, *, on_ended: Ended
) -> Transport:
    """That of the health port, which is always plaintext."""
    settings = NativeSettings(options.bind_address, options.grpc_health_port, MOST_HEALTH_BYTES)
    return NativeTransport(settings, methods, faults.fault, on_ended)
