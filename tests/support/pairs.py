"""Certificates for tests: a pair, or half of one, in a directory; each file replaced in one step."""

from pathlib import Path

import trustme
from cryptography import x509

NAME = "picker.test"


def write_pair(ca: trustme.CA, folder: Path, *, only: str = "") -> int:
    """A new pair of `ca` for NAME; `only` one of its files is written. Returns the certificate's serial number."""
    issued = ca.issue_cert(NAME)
    for name, pem in (
        ("tls.key", issued.private_key_pem.bytes()),
        ("tls.crt", b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
    ):
        if only in ("", name):
            replacement = folder / f".{name}"
            replacement.write_bytes(pem)
            replacement.replace(folder / name)
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number
