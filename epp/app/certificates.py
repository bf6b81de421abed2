"""Which certificates the ports show, and what TLS connections must keep to."""

import os
import ssl
from collections.abc import Callable

from epp.app.flag import FlagError
from epp.app.options import ServeOptions
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import CertificatePair, Clock
from epp.edge.certificates.ciphers import openssl_names
from epp.edge.certificates.followed_pair import FollowedPair
from epp.edge.certificates.server_context import TlsRules, server_context
from epp.edge.extproc.tls import limit_tls
from epp.edge.observe.logs import Logger


def tls_rules(options: ServeOptions) -> TlsRules:
    """What every port keeps to; raises FlagError."""
    try:
        ciphers = openssl_names(options.tls_cipher_suites)
    except ValueError as error:
        raise FlagError("tls-cipher-suites", str(error)) from error
    return TlsRules(
        only_1_3=options.tls_min_version == "VersionTLS13", ciphers=ciphers, client_ca=options.metrics_client_ca
    )


def grpc_pair(options: ServeOptions, clock: Clock, logger: Logger) -> CertificatePair | None:
    """That of the ext_proc port, None for plaintext; raises FlagError or InvalidInput. To be called before gRPC is."""
    if not options.secure_serving:
        return None
    rules = tls_rules(options)
    limit_tls(os.environ, only_1_3=rules.only_1_3, ciphers=rules.ciphers)
    return FollowedPair(
        options.cert_path, reload=options.cert_reload, clock=clock, on_problem=_not_taken("ext_proc", logger)
    )


def metrics_tls(options: ServeOptions, clock: Clock, logger: Logger) -> ssl.SSLContext | None:
    """That of the metrics port, None for plain HTTP; raises FlagError or InvalidInput."""
    if options.metrics_cert_dir is None:
        return None
    pair = FollowedPair(options.metrics_cert_dir, reload=True, clock=clock, on_problem=_not_taken("metrics", logger))
    return server_context(pair, tls_rules(options))


def _not_taken(port: str, logger: Logger) -> Callable[[InvalidInput], None]:
    return lambda problem: logger.warning("certificate not taken over", port=port, problem=str(problem))
