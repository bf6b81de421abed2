"""TLS limits that gRPC takes from the environment, once: when it is imported. So nothing here imports it."""

from collections.abc import MutableMapping, Sequence

CIPHERS = "GRPC_SSL_CIPHER_SUITES"
NONE_OF_1_2 = "ECDHE-PSK-AES128-CBC-SHA"
"""needs a secret that both sides know beforehand, so nobody can agree on it: gRPC has no setting for the oldest TLS
version, but without a cipher TLS 1.2 cannot be spoken"""


def limit_tls(environment: MutableMapping[str, str], *, only_1_3: bool, ciphers: Sequence[str]) -> None:
    """What every gRPC server of this process keeps to; `ciphers` are those of TLS 1.2, in OpenSSL's names.

    To be called before gRPC is imported.
    """
    if only_1_3:
        environment[CIPHERS] = NONE_OF_1_2
    elif ciphers:
        environment[CIPHERS] = ":".join(ciphers)
