"""Requests over real HTTPS: credentials of every kind, errors in our words, watches line by line."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
import yaml
from aiohttp import web

from epp.core.domain.errors import InvalidInput
from epp.edge.objects.kubernetes.access import AccessSettings, find_access
from epp.edge.objects.kubernetes.api_server import MERGE_PATCH, ApiServer
from epp.edge.objects.kubernetes.errors import (
    Conflict,
    Forbidden,
    NotFound,
    Silent,
    StatusError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from tests.support.free_ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FAILURE = {"kind": "Status", "status": "Failure", "message": "because", "details": {"retryAfterSeconds": 3}}


class Cluster:
    """An HTTPS server with one handler, and the kubeconfig that leads to it."""

    def __init__(self, folder: Path, handler: Handler) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self._handler = handler
        self.port = free_port()
        self.now = 0.0
        self.requests: list[web.Request] = []

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert("127.0.0.1").configure_cert(context)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self._handler(request)

    def kubeconfig(self, user: dict[str, Any], *, trusted: bool = True) -> Path:
        path = self._folder / "kubeconfig"
        ca = self._folder / "ca.crt"
        (self._ca if trusted else trustme.CA()).cert_pem.write_to_path(ca)
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(ca)}
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                }
            )
        )
        return path

    @asynccontextmanager
    async def client(self, user: dict[str, Any] | None = None, *, trusted: bool = True) -> AsyncIterator[ApiServer]:
        path = self.kubeconfig(user or {"token": "abc"}, trusted=trusted)
        api = ApiServer(find_access(AccessSettings(kubeconfig=str(path)), {}), lambda: self.now)
        try:
            yield api
        finally:
            await api.close()


def answering(body: object = None, status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=json.dumps(body).encode(), status=status, headers=headers)

    return handler


def by_token(*known: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        is_known = given.removeprefix("Bearer ") in known
        return web.json_response({"seen": given}, status=200 if is_known else 401)

    return handler


async def test_a_request_carries_token_query_and_body(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"got": await request.json(), "type": request.content_type})

    async with Cluster(tmp_path, handler) as cluster, cluster.client() as api:
        answer = await api.request(
            "PATCH",
            "/apis/x/v1/things",
            [("labelSelector", "a=b,c in (d, e)")],
            body={"f": 1},
            content_type=MERGE_PATCH,
        )
        assert json.loads(answer) == {"got": {"f": 1}, "type": "application/merge-patch+json"}
        (request,) = cluster.requests
        assert (request.method, request.path) == ("PATCH", "/apis/x/v1/things")
        assert dict(request.query) == {"labelSelector": "a=b,c in (d, e)"}
        assert request.headers["Authorization"] == "Bearer abc"
        assert api.url == f"https://127.0.0.1:{cluster.port}"


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (429, TooManyRequests),
        (500, StatusError),
        (503, StatusError),
    ],
)
async def test_an_error_status_is_an_error_with_the_servers_words(
    tmp_path: Path, status: int, type_: type[StatusError]
) -> None:
    async with Cluster(tmp_path, answering(FAILURE, status)) as cluster, cluster.client() as api:
        with pytest.raises(type_, match=f"GET /thing: {status} .*: because") as raised:
            await api.request("GET", "/thing")
        assert (raised.value.status, raised.value.retry_after_s) == (status, 3.0)


async def test_the_header_retry_after_counts_first_and_foreign_words_are_not_repeated(tmp_path: Path) -> None:
    handler = answering("<html>secret</html>", 429, **{"Retry-After": "17"})
    async with Cluster(tmp_path, handler) as cluster, cluster.client() as api:
        with pytest.raises(TooManyRequests) as raised:
            await api.request("GET", "/thing")
        assert raised.value.retry_after_s == 17.0
        assert str(raised.value) == "GET /thing: 429 Too Many Requests"


async def test_an_expired_token_is_read_anew_and_the_request_repeated(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with Cluster(tmp_path, by_token("old", "new")) as cluster, cluster.client({"tokenFile": str(token)}) as api:
        assert json.loads(await api.request("GET", "/a")) == {"seen": "Bearer old"}
        token.write_text("new")
        assert json.loads(await api.request("GET", "/b")) == {"seen": "Bearer old"}, "it is good for the server still"
        cluster._handler = by_token("new")
        cluster.now += 60
        assert json.loads(await api.request("GET", "/c")) == {"seen": "Bearer new"}
        assert [request.path for request in cluster.requests] == ["/a", "/b", "/c", "/c"]


async def test_new_credentials_do_not_break_off_a_request_that_waits_for_its_answer(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    arrived, answered = asyncio.Event(), asyncio.Event()
    only_new = by_token("new")

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/slow" and not answered.is_set():
            arrived.set()
            await answered.wait()
            return web.json_response({})
        return await only_new(request)

    async with Cluster(tmp_path, handler) as cluster, cluster.client({"tokenFile": str(token)}) as api:
        slow = asyncio.ensure_future(api.request("GET", "/slow"))
        await arrived.wait()
        token.write_text("new")
        cluster.now += 60
        assert json.loads(await api.request("GET", "/quick")) == {"seen": "Bearer new"}
        assert not slow.done()
        answered.set()
        assert await slow == b"{}"


async def test_credentials_are_not_read_anew_at_every_refusal(tmp_path: Path) -> None:
    async with Cluster(tmp_path, by_token()) as cluster, cluster.client() as api:
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await api.request("GET", "/a")
        assert len(cluster.requests) == 3
        cluster.now += 60
        with pytest.raises(Unauthorized):
            await api.request("GET", "/a")
        assert len(cluster.requests) == 5, "once again with what was read"


async def test_an_exec_plugin_gives_the_token_and_is_asked_again_when_it_has_expired(tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    version = "client.authentication.k8s.io/v1"
    credential = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": "call-N"}})
    plugin.write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/calls\necho '{credential}' | sed s/N/$(grep -c x {tmp_path}/calls)/\n"
    )
    plugin.chmod(0o755)
    user = {"exec": {"command": str(plugin), "apiVersion": version, "interactiveMode": "Never"}}
    async with Cluster(tmp_path, by_token("call-1")) as cluster, cluster.client(user) as api:
        assert json.loads(await api.request("GET", "/a")) == {"seen": "Bearer call-1"}
        cluster._handler = by_token("call-2")
        cluster.now += 60
        assert json.loads(await api.request("GET", "/a")) == {"seen": "Bearer call-2"}


async def test_nobody_there_and_nobody_to_trust(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, answering())
    async with cluster.client() as api:
        with pytest.raises(Unreachable, match=rf"https://127\.0\.0\.1:{cluster.port} cannot be asked: Cannot connect"):
            await api.request("GET", "/a")
    async with Cluster(tmp_path, answering()) as other, other.client(trusted=False) as api:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await api.request("GET", "/a")


async def test_an_answer_that_does_not_come(tmp_path: Path) -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with Cluster(tmp_path, handler) as cluster, cluster.client() as api:
        with pytest.raises(Unreachable, match="no answer in time"):
            await api.request("GET", "/a", timeout_s=0.05)


def streaming(*pieces: bytes, then: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then == "wait":
            await asyncio.Event().wait()
        if then == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    return handler


async def watched(api: ApiServer, silence_s: float = 30.0) -> list[bytes]:
    found = []
    async with api.watch("/watch", [("watch", "1")], silence_s=silence_s) as lines:
        async for line in lines:
            found.append(line)  # noqa: PERF401  what came before an error is of interest
    return found


async def test_a_watch_gives_lines_as_they_come(tmp_path: Path) -> None:
    handler = streaming(b"one\ntw", b"o\n", b"three\n\nfo", b"ur", then="end")
    async with Cluster(tmp_path, handler) as cluster, cluster.client() as api:
        assert await watched(api) == [b"one", b"two", b"three"], "and not what was cut off"


async def test_a_watch_that_breaks_off(tmp_path: Path) -> None:
    async with Cluster(tmp_path, streaming(b"one\n", then="cut")) as cluster, cluster.client() as api:
        with pytest.raises(Unreachable):
            await watched(api)


async def test_a_watch_that_says_nothing_any_more(tmp_path: Path) -> None:
    async with Cluster(tmp_path, streaming(b"one\n", then="wait")) as cluster, cluster.client() as api:
        with pytest.raises(Silent, match=r"GET /watch: nothing for 0\.05 s"):
            await watched(api, silence_s=0.05)


async def test_a_watch_that_is_refused(tmp_path: Path) -> None:
    async with Cluster(tmp_path, answering(FAILURE, 403)) as cluster, cluster.client() as api:
        with pytest.raises(Forbidden):
            await watched(api)


async def test_a_broken_kubeconfig_is_said_when_it_is_opened(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, answering())
    path = cluster.kubeconfig({"client-certificate": str(tmp_path / "ca.crt"), "client-key": str(tmp_path / "ca.crt")})
    api = ApiServer(find_access(AccessSettings(kubeconfig=str(path)), {}), lambda: 0.0)
    with pytest.raises(InvalidInput, match=r"ca\.crt: no certificates that can be used"):
        await api.open()
    with pytest.raises(Unreachable, match="no certificates that can be used"):
        await api.request("GET", "/a")
