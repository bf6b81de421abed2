"""Cipher suites of TLS 1.2: Go's names, which are IANA's, and OpenSSL's. Those of TLS 1.3 cannot be chosen.

Source: IANA TLS Cipher Suites; those that Go's crypto/tls calls secure.
"""

OPENSSL_NAMES: dict[str, str] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
}
TLS_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""always on; naming them changes nothing"""


def openssl_names(suites: tuple[str, ...]) -> tuple[str, ...]:
    """OpenSSL's names of the TLS 1.2 suites among `suites`, each once; raises ValueError for one that is not taken."""
    names: dict[str, None] = {}
    for suite in suites:
        if suite in TLS_1_3:
            continue
        if suite not in OPENSSL_NAMES:
            raise ValueError(f"{suite!r} is no cipher suite that is taken here; there are {', '.join(OPENSSL_NAMES)}")
        names[OPENSSL_NAMES[suite]] = None
    return tuple(names)
