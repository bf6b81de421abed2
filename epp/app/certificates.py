"""Which certificates the ports show, and what TLS connections must keep to."""

import ssl
from collections.abc import Callable

from epp.app.options import ServeOptions
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import CertificatePair, Clock
from epp.edge.certificates.followed_pair import FollowedPair
from epp.edge.certificates.server_context import TlsRules, server_context
from epp.edge.observe.logs import Logger


def grpc_pair(options: ServeOptions, clock: Clock, logger: Logger) -> CertificatePair | None:
    """That of the ext_proc port, None for plaintext; raises InvalidInput."""
    if not options.secure_serving:
        return None
    return FollowedPair(
        options.cert_path, reload=options.cert_reload, clock=clock, on_problem=_not_taken("ext_proc", logger)
    )


def grpc_tls(options: ServeOptions, clock: Clock, logger: Logger) -> ssl.SSLContext | None:
    """That of the ext_proc port on Python's own TLS, None for plaintext; raises InvalidInput."""
    pair = grpc_pair(options, clock, logger)
    if pair is None:
        return None
    rules = TlsRules(only_1_3=options.only_tls_1_3, ciphers=options.tls_1_2_ciphers, alpn=("h2",))
    return server_context(pair, rules)


def metrics_tls(options: ServeOptions, clock: Clock, logger: Logger) -> ssl.SSLContext | None:
    """That of the metrics port, None for plain HTTP; raises InvalidInput."""
    if options.metrics_cert_dir is None:
        return None
    pair = FollowedPair(options.metrics_cert_dir, reload=True, clock=clock, on_problem=_not_taken("metrics", logger))
    rules = TlsRules(
        only_1_3=options.only_tls_1_3, ciphers=options.tls_1_2_ciphers, client_ca=options.metrics_client_ca
    )
    return server_context(pair, rules)


def _not_taken(port: str, logger: Logger) -> Callable[[InvalidInput], None]:
    return lambda problem: logger.warning("certificate not taken over", port=port, problem=str(problem))
