"""TLS on the ext_proc port: self-signed by default, else a directory of files that is followed."""

import asyncio
import ssl
from pathlib import Path

import grpc
import grpc.aio
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient
from tests.support.object_yaml import pod_yaml, pool_yaml
from tests.support.served_picker import HOST, ServedPicker, served_picker

BODY = b'{"model":"m","prompt":"hello"}'
POD = "127.0.0.2:8000"
NAME = "picker.test"


class TlsClient(ExtProcClient):
    """Verifies the server against `roots` (PEM) under `name`."""

    def __init__(self, port: int, roots: bytes, name: str) -> None:
        super().__init__(port)
        own = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", name)]
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        self._channel = grpc.aio.secure_channel(f"{HOST}:{port}", credentials, options=own)


async def certificate(port: int) -> x509.Certificate:
    """What a new connection gets, unverified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown)
    finally:
        writer.transport.abort()


async def until_serving(picker: ServedPicker) -> None:
    picker.write("pool.yaml", pool_yaml())
    picker.write("pods.yaml", pod_yaml("a", "127.0.0.2"))
    await picker.until_endpoints(POD)


async def pick(envoy: ExtProcClient) -> str:
    request = envoy.request(BodyMode.BUFFERED)
    forwarded = await request.send(BODY)
    request.reset()
    return forwarded.destination


def issue(ca: trustme.CA, folder: Path, *, key: bool = True, chain: bool = True) -> int:
    """Puts a new pair, or half of it, into the folder; returns the serial number of the certificate."""
    issued = ca.issue_cert(NAME)
    for name, wanted, pem in (
        ("tls.key", key, issued.private_key_pem.bytes()),
        ("tls.crt", chain, b"".join(blob.bytes() for blob in issued.cert_chain_pems)),
    ):
        if wanted:
            replacement = folder / f".{name}"
            replacement.write_bytes(pem)
            replacement.replace(folder / name)
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number


async def test_by_default_the_certificate_is_self_signed_and_plaintext_is_refused(tmp_path: Path) -> None:
    async with served_picker(tmp_path, "--secure-serving", "--health-checking") as picker:
        await until_serving(picker)
        port = picker.ports.grpc_port
        shown = await certificate(port)
        assert shown.issuer == shown.subject
        async with TlsClient(port, shown.public_bytes(Encoding.PEM), "localhost") as envoy:
            assert await pick(envoy) == POD
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await picker.health(port=port)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await picker.health() == "SERVING", "the health port stays plaintext"


async def test_a_replaced_certificate_counts_for_new_connections_once_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    ca = trustme.CA()
    first = issue(ca, folder)
    async with served_picker(tmp_path, "--secure-serving", f"--cert-path={folder}") as picker:
        await until_serving(picker)
        port = picker.ports.grpc_port
        async with TlsClient(port, ca.cert_pem.bytes(), NAME) as envoy:
            assert await pick(envoy) == POD
            assert (await certificate(port)).serial_number == first

            issue(ca, folder, chain=False)

            async def is_refused() -> bool:
                assert (await certificate(port)).serial_number == first
                return bool(picker.logged("certificate not taken over"))

            await picker.until(is_refused, "half a pair is complained of and not used")
            (line,) = picker.logged("certificate not taken over")
            assert line["problem"] == f"{folder}/tls.key: does not belong to the certificate in tls.crt"

            second = issue(ca, folder)

            async def is_taken_over() -> bool:
                return (await certificate(port)).serial_number == second

            await picker.until(is_taken_over, "the new pair is used")
            assert await pick(envoy) == POD, "connections that were open go on"
        async with TlsClient(port, ca.cert_pem.bytes(), NAME) as envoy:
            assert await pick(envoy) == POD


async def shaken(port: int, version: ssl.TLSVersion) -> str:
    """The cipher that was agreed on; raises OSError or ssl.SSLError when there is none."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    try:
        agreed: str = writer.get_extra_info("cipher")[0]
        return agreed
    finally:
        writer.transport.abort()


async def test_the_oldest_version_and_the_ciphers_of_1_2(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    async with served_picker(tmp_path / "one", "--secure-serving", "--tls-min-version=VersionTLS13") as picker:
        port = picker.ports.grpc_port
        assert (await shaken(port, ssl.TLSVersion.TLSv1_3)).startswith("TLS_")
        with pytest.raises(OSError):
            await shaken(port, ssl.TLSVersion.TLSv1_2)
    (tmp_path / "two").mkdir()
    only = "--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    async with served_picker(tmp_path / "two", "--secure-serving", only) as picker:
        port = picker.ports.grpc_port
        assert await shaken(port, ssl.TLSVersion.TLSv1_2) == "ECDHE-ECDSA-CHACHA20-POLY1305"
        assert (await shaken(port, ssl.TLSVersion.TLSv1_3)).startswith("TLS_")


async def test_a_cipher_that_is_not_taken_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"--tls-cipher-suites: 'TLS_RSA_WITH_RC4_128_SHA' is no cipher suite"):
        async with served_picker(tmp_path, "--secure-serving", "--tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA"):
            pass
