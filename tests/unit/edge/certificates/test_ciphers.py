"""Go's names of cipher suites, and OpenSSL's."""

import ssl

import pytest

from epp.edge.certificates.ciphers import OPENSSL_NAMES, TLS_1_3, openssl_names


def test_names_are_translated_once_each_in_order() -> None:
    suites = (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    )
    assert openssl_names(suites) == ("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256")


def test_those_of_tls_1_3_are_on_whatever_is_named() -> None:
    assert openssl_names(TLS_1_3) == ()


def test_others_are_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'TLS_RSA_WITH_RC4_128_SHA' is no cipher suite .* there are TLS_ECDHE_ECDSA"):
        openssl_names(("TLS_RSA_WITH_RC4_128_SHA",))


@pytest.mark.parametrize("name", sorted(set(OPENSSL_NAMES.values())))
def test_openssl_knows_each(name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(name)
    assert name in {cipher["name"] for cipher in context.get_ciphers()}
