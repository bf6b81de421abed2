"""TLS for the ext_proc port: a certificate directory that is read again when it changes, or a self-signed one.

The directory holds `tls.crt` and `tls.key`, as a Kubernetes secret mounts them. A half-written pair is never used:
the last good one stays until both files fit together.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from epp.core.domain.errors import InvalidInput

CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
SELF_SIGNED_YEARS = 10
CHECK_EVERY_S = 1.0

Pair = tuple[bytes, bytes]
"""private key and certificate chain, PEM"""


def self_signed(common_name: str = "endpoint-picker") -> Pair:
    """A fresh ECDSA P-256 pair, valid for ten years; proxies must not verify it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=365 * SELF_SIGNED_YEARS))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(common_name), x509.DNSName("localhost")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def read_pair(directory: Path) -> Pair:
    """Reads and checks a pair; raises InvalidInput naming the file when it is missing, unreadable or does not fit."""
    contents = []
    for name in (KEY_FILE, CERTIFICATE_FILE):
        try:
            contents.append((directory / name).read_bytes())
        except OSError as error:
            raise InvalidInput(str(directory / name), f"cannot be read: {error.strerror}") from error
    key_pem, certificate_pem = contents
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise InvalidInput(str(directory / CERTIFICATE_FILE), "is not a PEM certificate") from error
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, InvalidKey) as error:
        raise InvalidInput(str(directory / KEY_FILE), "is not an unencrypted PEM private key") from error
    if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
        raise InvalidInput(str(directory / KEY_FILE), f"does not belong to the certificate in {CERTIFICATE_FILE}")
    return key_pem, certificate_pem


def _public_bytes(key: object) -> bytes:
    encode: Callable[..., bytes] = key.public_bytes  # type: ignore[attr-defined]  # every public key type has it
    return encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class CertificateSource:
    """Server credentials that follow a certificate directory.

    gRPC asks at every new connection; the files are looked at most once in CHECK_EVERY_S. `on_problem` hears of a pair
    that cannot be used, once per version of the files.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        reload: bool,
        clock: Callable[[], float],
        on_problem: Callable[[InvalidInput], None],
    ) -> None:
        self._directory = directory
        self._reload = reload
        self._clock = clock
        self._on_problem = on_problem
        self._signature = self._sign()
        self._pair = self_signed() if directory is None else read_pair(directory)
        self._checked_at = clock()

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials for a gRPC server."""
        first = grpc.ssl_server_certificate_configuration([self._pair])
        if self._directory is None or not self._reload:
            return grpc.ssl_server_credentials([self._pair])
        fetch: Any = self._fetch  # None is allowed: no change
        return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=False)

    def refresh(self) -> bool:
        """Takes over changed files; True when the pair in force is another one now."""
        signature = self._sign()
        if signature == self._signature or self._directory is None:
            return False
        self._signature = signature
        try:
            pair = read_pair(self._directory)
        except InvalidInput as problem:
            self._on_problem(problem)
            return False
        changed = pair != self._pair
        self._pair = pair
        return changed

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, from a thread of its own, before a connection is accepted; None keeps what is in force."""
        now = self._clock()
        if now - self._checked_at < CHECK_EVERY_S:
            return None
        self._checked_at = now
        return grpc.ssl_server_certificate_configuration([self._pair]) if self.refresh() else None

    def _sign(self) -> tuple[tuple[int, int, int], ...]:
        """What tells one version of the files from another: inode, time and size behind any symbolic links."""
        found = []
        for name in (KEY_FILE, CERTIFICATE_FILE) if self._directory is not None else ():
            try:
                status = (self._directory / name).stat()  # type: ignore[operator]  # not None inside this loop
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(found)
