"""TLS on the ext_proc port: credentials that follow a pair."""

from typing import Any

import grpc

from epp.core.domain.ports import CertificatePair, Pem


def grpc_credentials(pair: CertificatePair) -> grpc.ServerCredentials:
    """Credentials for a gRPC server; gRPC asks for the pair at every new connection, from a thread of its own."""
    in_force = pair.current()
    if not pair.may_change:
        return grpc.ssl_server_credentials([in_force])

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal in_force
        current: Pem = pair.current()
        if current == in_force:
            return None
        in_force = current
        return grpc.ssl_server_certificate_configuration([current])

    first = grpc.ssl_server_certificate_configuration([in_force])
    fetcher: Any = fetch  # None is allowed: no change
    return grpc.dynamic_ssl_server_credentials(first, fetcher, require_client_authentication=False)
