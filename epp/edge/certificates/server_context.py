"""TLS of a server on Python's own ssl module, with a pair that may change while it serves.

Every connection gets the context of the pair that is in force when it begins; those that are open go on.
"""

import os
import ssl
from pathlib import Path

import msgspec

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import CertificatePair, Pem


class TlsRules(msgspec.Struct, frozen=True):
    """What connections must keep to."""

    only_1_3: bool = False
    ciphers: tuple[str, ...] = ()
    """of TLS 1.2, in OpenSSL's names; empty: the strong ones"""
    client_ca: Path | None = None
    """clients must show a certificate of this authority"""
    alpn: tuple[str, ...] = ()
    """protocols that may be agreed upon"""


def server_context(pair: CertificatePair, rules: TlsRules) -> ssl.SSLContext:
    """A context that follows `pair`; raises InvalidInput when the rules cannot be kept."""
    outer = _context(pair.current(), rules)
    if not pair.may_change:
        return outer
    inner = [(pair.current(), outer)]

    def choose(connection: ssl.SSLObject, _name: str | None, _outer: ssl.SSLContext) -> None:
        current = pair.current()
        if current != inner[0][0]:
            inner[0] = current, _context(current, rules)
        connection.context = inner[0][1]

    outer.sni_callback = choose  # called for every handshake, also where the client names no server
    return outer


def _context(pair: Pem, rules: TlsRules) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if rules.only_1_3 else ssl.TLSVersion.TLSv1_2
    if rules.ciphers:
        context.set_ciphers(":".join(rules.ciphers))
    if rules.alpn:
        context.set_alpn_protocols(rules.alpn)
    key, chain = pair
    # The module reads files only. One in memory holds the very bytes that were found to belong together.
    descriptor = os.memfd_create("certificate")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n" + chain)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    except ssl.SSLError as error:
        raise InvalidInput("certificate", f"cannot be used: {error.reason or error}") from error
    if rules.client_ca is not None:
        try:
            context.load_verify_locations(cafile=rules.client_ca)
        except (OSError, ssl.SSLError) as error:
            problem = f"cannot be used as CA of clients: {error.strerror or error}"
            raise InvalidInput(str(rules.client_ca), problem) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context
