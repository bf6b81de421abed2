"""A private key and the certificate chain that belongs to it: read and checked together, or made.

The directory holds `tls.crt` and `tls.key`, as a Kubernetes secret mounts them.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Pem

CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
SELF_SIGNED_YEARS = 10


def self_signed(common_name: str = "endpoint-picker") -> Pem:
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


def read_pair(directory: Path) -> Pem:
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
