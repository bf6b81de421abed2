import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from epp.core.domain.errors import InvalidInput
from epp.edge.admin.gates import ClosedGate, Gate, OpenGate, TokenFileGate
from epp.edge.admin.pages import AdminPages, Readiness, Work
from epp.edge.admin.server import AdminServer

GUARDED = ["/metrics", "/debug/decisions", "/debug/endpoints", "/debug/config", "/debug/self-check"]
OPEN = ["/", "/healthz", "/readyz"]


class Row(msgspec.Struct):
    name: str
    waiting: float


class Behind:
    """What the pages show, and what they were asked for."""

    def __init__(self) -> None:
        self.readiness = Readiness(is_ready=True)
        self.config: object = "policy: default\n"
        self.accepted: list[str] = []
        self.decisions_asked: list[tuple[int, str, str]] = []
        self.threads: set[int] = set()

    def pages(self) -> AdminPages:
        return AdminPages(
            metrics=self._metrics,
            readiness=lambda: self.readiness,
            decisions=self._decisions,
            endpoints=lambda: lambda: [Row("vllm-0-rank-0", 1.5)],
            config=lambda: lambda: self.config,
            self_check=lambda: list,
        )

    def _metrics(self, accept: str) -> Callable[[], tuple[bytes, str]]:
        self.accepted.append(accept)

        def render() -> tuple[bytes, str]:
            self.threads.add(threading.get_ident())
            return b"up 1\n", "text/plain; version=0.0.4; charset=utf-8"

        return render

    def _decisions(self, *, limit: int, request_id: str, model: str) -> Work:
        self.decisions_asked.append((limit, request_id, model))
        return lambda: [{"request_id": request_id or "any"}]


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> object:
        assert self.headers["Content-Type"] == "application/json; charset=utf-8"
        return msgspec.json.decode(self.text)

    @property
    def message(self) -> str:
        """Of an error."""
        body = msgspec.json.decode(self.text)
        assert set(body) == {"error"}
        assert body["error"]["code"] == self.status
        return str(body["error"]["message"])


class Admin:
    def __init__(self, server: AdminServer, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{server.port}"
        self._session = session

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        async with self._session.request(method, self._url + path, headers=headers) as response:
            return Answer(response.status, dict(response.headers), await response.text())


@asynccontextmanager
async def running(behind: Behind | None = None, gate: Gate | None = None) -> AsyncIterator[Admin]:
    server = AdminServer((behind or Behind()).pages(), gate or OpenGate(), port=0)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Admin(server, session)
    finally:
        await server.stop()


async def test_metrics_are_rendered_in_a_thread_as_the_client_accepts_them() -> None:
    behind = Behind()
    async with running(behind) as admin:
        answer = await admin.get("/metrics", Accept="application/openmetrics-text")

    assert (answer.status, answer.text) == (200, "up 1\n")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert behind.accepted == ["application/openmetrics-text"]
    assert threading.get_ident() not in behind.threads


async def test_health_and_readiness() -> None:
    behind = Behind()
    async with running(behind) as admin:
        assert (await admin.get("/healthz")).text == "ok\n"
        assert (await admin.get("/readyz")).status == 200

        behind.readiness = Readiness(is_ready=False, reason="the InferencePool is not known yet")
        refused = await admin.get("/readyz")
        assert (await admin.get("/healthz")).status == 200

    assert (refused.status, refused.message) == (503, "not ready: the InferencePool is not known yet")


async def test_decisions_are_asked_for_by_limit_request_and_model() -> None:
    behind = Behind()
    async with running(behind) as admin:
        everything = await admin.get("/debug/decisions")
        one = await admin.get("/debug/decisions?limit=1000&request_id=r-1&model=a%2Fb")

    assert everything.json == [{"request_id": "any"}]
    assert one.json == [{"request_id": "r-1"}]
    assert behind.decisions_asked == [(20, "", ""), (1000, "r-1", "a/b")]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1e2", "00000000001", "²"])
async def test_a_wrong_limit_is_refused(limit: str) -> None:
    behind = Behind()
    async with running(behind) as admin:
        answer = await admin.get(f"/debug/decisions?limit={limit}")

    assert (answer.status, answer.message) == (400, f"limit must be a number from 1 to 1000, not {limit!r}")
    assert behind.decisions_asked == []


async def test_structs_become_json() -> None:
    async with running() as admin:
        answer = await admin.get("/debug/endpoints")
        nothing = await admin.get("/debug/self-check")

    assert answer.json == [{"name": "vllm-0-rank-0", "waiting": 1.5}]
    assert nothing.json == []


async def test_configuration_is_text_or_json() -> None:
    behind = Behind()
    async with running(behind) as admin:
        text = await admin.get("/debug/config")
        behind.config = {"profiles": ["default"]}
        values = await admin.get("/debug/config")

    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.text == "policy: default\n"
    assert values.json == {"profiles": ["default"]}


async def test_the_index_links_to_every_page() -> None:
    async with running() as admin:
        index = await admin.get("/")

    assert index.headers["Content-Type"] == "text/html; charset=utf-8"
    for path in [*GUARDED, "/healthz", "/readyz"]:
        assert f'href="{path}"' in index.text


@pytest.mark.parametrize("path", GUARDED)
async def test_guarded_pages_need_the_token(path: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    async with running(gate=TokenFileGate(tmp_path / "token", print)) as admin:
        anonymous = await admin.get(path)
        stranger = await admin.get(path, Authorization="Bearer guess")
        friend = await admin.get(path, Authorization="Bearer s3cret")

    assert (anonymous.status, anonymous.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer" in anonymous.message
    assert (stranger.status, stranger.message) == (401, "the token is not that of --metrics-token-file")
    assert friend.status == 200


async def test_open_pages_need_no_token() -> None:
    async with running(gate=ClosedGate()) as admin:
        assert [(await admin.get(path)).status for path in OPEN] == [200, 200, 200]
        assert [(await admin.get(path)).status for path in GUARDED] == [401] * len(GUARDED)


async def test_an_unknown_page_is_named() -> None:
    async with running() as admin:
        answer = await admin.get("/metricz")

    assert (answer.status, answer.message) == (404, "there is no page '/metricz'; see / for those there are")


@pytest.mark.parametrize("path", ["/metrics", "/debug/config"])
async def test_pages_are_read_only(path: str) -> None:
    async with running(gate=ClosedGate()) as admin:
        answer = await admin.get(path, method="POST")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.message == f"{path} answers GET, HEAD only"


async def test_a_taken_port_is_named() -> None:
    first = AdminServer(Behind().pages(), OpenGate(), port=0)
    await first.start()
    second = AdminServer(Behind().pages(), OpenGate(), port=first.port)
    try:
        with pytest.raises(InvalidInput, match=rf"--metrics-port: cannot listen on 127\.0\.0\.1 port {first.port}: "):
            await second.start()
    finally:
        await first.stop()
        await second.stop()


async def test_the_event_loop_goes_on_while_a_page_is_rendered() -> None:
    behind = Behind()
    may_end = threading.Event()

    def slow() -> object:
        assert may_end.wait(timeout=30)
        return "done"

    pages = msgspec.structs.replace(behind.pages(), config=lambda: slow)
    server = AdminServer(pages, OpenGate(), port=0)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            admin = Admin(server, session)
            waiting = asyncio.create_task(admin.get("/debug/config"))
            assert (await admin.get("/healthz")).status == 200
            assert not waiting.done()
            may_end.set()
            assert (await waiting).text == "done"
    finally:
        may_end.set()
        await server.stop()
