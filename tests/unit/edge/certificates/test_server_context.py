"""TLS on Python's ssl: real handshakes, with pairs that change, versions, ciphers and certificates of clients."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from epp.core.domain.errors import InvalidInput
from epp.edge.certificates.followed_pair import CHECK_EVERY_S, FollowedPair
from epp.edge.certificates.server_context import TlsRules, server_context
from tests.support.pairs import NAME, write_pair

NO_RULES = TlsRules()


class Server:
    """Says hello to everybody who can shake hands."""

    def __init__(self, folder: Path, rules: TlsRules = NO_RULES) -> None:
        self.now = 0.0
        pair = FollowedPair(folder, reload=True, clock=lambda: self.now, on_problem=lambda _: None)
        self.context = server_context(pair, rules)
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Server"]:
        async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello\n")
            writer.close()

        server = await asyncio.start_server(hello, "127.0.0.1", 0, ssl=self.context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def greeted(self, context: ssl.SSLContext, name: str | None = NAME) -> tuple[int, str, str]:
        """Serial number that was shown, version and cipher; raises ssl.SSLError or ConnectionError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name or "")
        try:
            if await reader.readline() != b"hello\n":  # with TLS 1.3 a client is refused after its own handshake
                raise ConnectionError("refused")
            channel = writer.get_extra_info("ssl_object")
            shown = x509.load_der_x509_certificate(channel.getpeercert(binary_form=True))
            return shown.serial_number, channel.version(), channel.cipher()[0]
        finally:
            writer.transport.abort()


def client(ca: trustme.CA, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


async def test_a_changed_pair_is_shown_to_new_connections(tmp_path: Path) -> None:
    ca = trustme.CA()
    first = write_pair(ca, tmp_path)
    async with Server(tmp_path).serving() as server:
        assert (await server.greeted(client(ca)))[0] == first
        second = write_pair(ca, tmp_path)
        server.now += CHECK_EVERY_S
        assert (await server.greeted(client(ca)))[0] == second
        nameless = client(ca)
        nameless.check_hostname = False
        assert (await server.greeted(nameless, None))[0] == second, "also to who names no server"


async def test_the_oldest_version(tmp_path: Path) -> None:
    ca = trustme.CA()
    write_pair(ca, tmp_path)
    async with Server(tmp_path).serving() as server:
        for version, spoken in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            assert (await server.greeted(client(ca, version)))[1] == spoken
    async with Server(tmp_path, TlsRules(only_1_3=True)).serving() as server:
        assert (await server.greeted(client(ca)))[1] == "TLSv1.3"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.greeted(client(ca, ssl.TLSVersion.TLSv1_2))


async def test_ciphers_also_after_a_change_of_the_pair(tmp_path: Path) -> None:
    ca = trustme.CA()
    write_pair(ca, tmp_path)
    cipher = "ECDHE-ECDSA-CHACHA20-POLY1305"
    async with Server(tmp_path, TlsRules(ciphers=(cipher,))).serving() as server:
        for _ in range(2):
            assert (await server.greeted(client(ca, ssl.TLSVersion.TLSv1_2)))[2] == cipher
            write_pair(ca, tmp_path)
            server.now += CHECK_EVERY_S


async def test_certificates_of_clients(tmp_path: Path) -> None:
    ca, clients = trustme.CA(), trustme.CA()
    write_pair(ca, tmp_path)
    authority = tmp_path / "clients.crt"
    clients.cert_pem.write_to_path(authority)
    async with Server(tmp_path, TlsRules(client_ca=authority)).serving() as server:
        known = client(ca)
        clients.issue_cert("scraper").configure_cert(known)
        await server.greeted(known)
        stranger = client(ca)
        ca.issue_cert("stranger").configure_cert(stranger)
        for context in (client(ca), stranger):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await server.greeted(context)


def test_an_authority_that_cannot_be_read(tmp_path: Path) -> None:
    write_pair(trustme.CA(), tmp_path)
    for path, says in (
        (tmp_path / "missing", "No such file"),
        (tmp_path / "tls.key", "cannot be used as CA of clients"),
    ):
        with pytest.raises(InvalidInput, match=says):
            Server(tmp_path, TlsRules(client_ca=path))
