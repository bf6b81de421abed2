"""TLS on the ext_proc port: credentials that follow a pair, and limits that gRPC takes from the environment."""

from collections.abc import MutableMapping, Sequence
from typing import Any

import grpc

from epp.core.domain.ports import CertificatePair, Pem

CIPHERS = "GRPC_SSL_CIPHER_SUITES"
NONE_OF_1_2 = "ECDHE-PSK-AES128-CBC-SHA"
"""needs a secret that both sides know beforehand, so nobody can agree on it: gRPC has no setting for the oldest TLS
version, but without a cipher TLS 1.2 cannot be spoken"""


def limit_tls(environment: MutableMapping[str, str], *, only_1_3: bool, ciphers: Sequence[str]) -> None:
    """What every gRPC server of this process keeps to; `ciphers` are those of TLS 1.2, in OpenSSL's names.

    To be called before gRPC is used for the first time.
    """
    if only_1_3:
        environment[CIPHERS] = NONE_OF_1_2
    elif ciphers:
        environment[CIPHERS] = ":".join(ciphers)


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
