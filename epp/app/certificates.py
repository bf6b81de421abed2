"""Which certificates the ports show, and what TLS connections must keep to."""

import ssl
from collections.abc import Callable
from pathlib import Path

from epp.app.options import ServeOptions
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import CertificatePair, Clock
from epp.edge.certificates.server_context import TlsRules, server_context
from epp.edge.observe.logs import Logger


def grpc_pair(options: ServeOptions, clock: Clock, logger: Logger) -> CertificatePair | None:
    """That of the ext_proc port, None for plaintext; raises InvalidInput."""
    if not options.secure_serving:
        return None
    return _followed(options.cert_path, "ext_proc", clock, logger, reload=options.cert_reload)


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
    pair = _followed(options.metrics_cert_dir, "metrics", clock, logger, reload=True)
    rules = TlsRules(
        only_1_3=options.only_tls_1_3, ciphers=options.tls_1_2_ciphers, client_ca=options.metrics_client_ca
    )
    return server_context(pair, rules)


def _followed(directory: Path | None, port: str, clock: Clock, logger: Logger, *, reload: bool) -> CertificatePair:
    # The library takes 8 MiB, for which a picker without TLS has no use.
    from epp.edge.certificates.followed_pair import FollowedPair  # noqa: PLC0415

    return FollowedPair(directory, reload=reload, clock=clock, on_problem=_not_taken(port, logger))


def _not_taken(port: str, logger: Logger) -> Callable[[InvalidInput], None]:
    return lambda problem: logger.warning("certificate not taken over", port=port, problem=str(problem))
