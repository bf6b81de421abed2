"""The HTTP client, beside a fake vLLM pod and beside a server that answers as it is told."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest
from aiohttp import web

from epp.edge.lora.configuration import Adapter, Target
from epp.edge.lora.model_server import MOST_ANSWER_BYTES, HttpModelServer, ModelServerError, Refused, Timeouts
from epp.edge.lora.plan import Served
from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import AdapterSource, PodSettings
from tests.support.free_ports import free_port

HOST = "127.0.0.1"
FOOD = Adapter("food", "repo/food", "meta/base")
SETTINGS = PodSettings(model="meta/base", adapters=(AdapterSource("cad", "repo/cad"),))
StartPod = Callable[..., Awaitable[FakePod]]
Answer = Callable[[web.BaseRequest, bytes], web.Response]
Serve = Callable[[Answer], Awaitable[Target]]


@pytest.fixture
async def client() -> AsyncIterator[HttpModelServer]:
    client = HttpModelServer(Timeouts(request_s=5.0, load_s=5.0))
    yield client
    await client.close()


@pytest.fixture
async def hasty() -> AsyncIterator[HttpModelServer]:
    client = HttpModelServer(Timeouts(request_s=0.05, load_s=0.1))
    yield client
    await client.close()


@pytest.fixture
async def start_pod() -> AsyncIterator[StartPod]:
    pods: list[FakePod] = []

    async def start(**changes: object) -> FakePod:
        pod = FakePod(msgspec.structs.replace(SETTINGS, **changes))
        await pod.start()
        pods.append(pod)
        return pod

    yield start
    for pod in pods:
        await pod.stop()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that answers every request as `answer` says."""
    runners: list[web.ServerRunner] = []

    async def start(answer: Answer) -> Target:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return answer(request, await request.read())

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, HOST, 0).start()
        return Target(HOST, runner.addresses[0][1])

    yield start
    for runner in runners:
        await runner.cleanup()


def at(pod: FakePod) -> Target:
    return Target(pod.host, pod.port)


async def test_what_is_served(start_pod: StartPod, client: HttpModelServer) -> None:
    pod = await start_pod()
    assert await client.served_models(at(pod)) == {
        "meta/base": Served("meta/base", is_base_model=True),
        "cad": Served("repo/cad"),
    }


async def test_adapters_are_loaded_and_unloaded(start_pod: StartPod, client: HttpModelServer) -> None:
    target = at(await start_pod())
    assert await client.load(target, FOOD)
    assert (await client.served_models(target))["food"] == Served("repo/food")
    assert not await client.load(target, FOOD), "it was there already"
    await client.unload(target, "food")
    assert "food" not in await client.served_models(target)
    await client.unload(target, "food")


async def test_the_bodies_are_those_of_the_reference(serve: Serve, client: HttpModelServer) -> None:
    bodies: list[tuple[str, object]] = []

    def note(request: web.BaseRequest, body: bytes) -> web.Response:
        bodies.append((request.path, msgspec.json.decode(body)))
        return web.Response()

    target = await serve(note)
    await client.load(target, FOOD)
    await client.unload(target, "food")
    assert bodies == [
        ("/v1/load_lora_adapter", {"lora_name": "food", "lora_path": "repo/food", "base_model_name": "meta/base"}),
        ("/v1/unload_lora_adapter", {"lora_name": "food"}),
    ]


async def test_health(start_pod: StartPod, client: HttpModelServer) -> None:
    pod = await start_pod()
    await client.check_health(at(pod))
    pod.inject(Faults(health=503))
    with pytest.raises(Refused, match=rf"^{pod.url}/health: HTTP status 503$"):
        await client.check_health(at(pod))


async def test_a_refused_load_has_the_servers_own_words(start_pod: StartPod, client: HttpModelServer) -> None:
    pod = await start_pod()
    pod.inject(Faults(missing_sources=("repo/food",)))
    with pytest.raises(Refused) as refused:
        await client.load(at(pod), FOOD)
    assert refused.value.status == 404
    assert str(refused.value).endswith("HTTP status 404: Loading lora food failed: No adapter found for repo/food")


async def test_a_server_that_does_not_load_at_run_time_is_told_how(
    start_pod: StartPod, client: HttpModelServer
) -> None:
    pod = await start_pod(runtime_lora_updating=False)
    for change in (client.load(at(pod), FOOD), client.unload(at(pod), "cad")):
        with pytest.raises(ModelServerError, match=r"404: Not Found; .* VLLM_ALLOW_RUNTIME_LORA_UPDATING=true"):
            await change


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('{"error": {"message": "newer", "code": 500}}', "newer"),
        ('{"object": "error", "message": "older", "code": 500}', "older"),
        ('{"detail": "of the framework"}', "of the framework"),
        ("plain text", "plain text"),
        ('["json"]', '["json"]'),
        ("x" * 1000, "x" * 500),
    ],
)
async def test_every_form_of_an_error(serve: Serve, client: HttpModelServer, answer: str, message: str) -> None:
    target = await serve(lambda *_: web.Response(status=500, text=answer))
    with pytest.raises(Refused) as refused:
        await client.load(target, FOOD)
    assert str(refused.value) == f"{target.url}/v1/load_lora_adapter: HTTP status 500: {message}"


@pytest.mark.parametrize("answer", ["", "no json", "[]", '{"data": [{"root": "a"}]}', '{"models": []}'])
async def test_a_list_that_is_none(serve: Serve, client: HttpModelServer, answer: str) -> None:
    target = await serve(lambda *_: web.Response(text=answer))
    with pytest.raises(ModelServerError, match="/v1/models: the answer is no list of models: "):
        await client.served_models(target)


async def test_a_list_without_roots(serve: Serve, client: HttpModelServer) -> None:
    target = await serve(lambda *_: web.Response(text='{"data": [{"id": "food"}]}'))
    assert await client.served_models(target) == {"food": Served(None)}


async def test_an_answer_without_end(serve: Serve, client: HttpModelServer) -> None:
    target = await serve(lambda *_: web.Response(body=bytes(MOST_ANSWER_BYTES + 1)))
    with pytest.raises(ModelServerError, match="longer than"):
        await client.served_models(target)


async def test_nobody_listens(client: HttpModelServer) -> None:
    target = Target(HOST, free_port())
    with pytest.raises(ModelServerError, match=rf"^{target.url}/health: .*{target.port}"):
        await client.check_health(target)


async def test_a_silent_server_has_its_time(start_pod: StartPod, hasty: HttpModelServer) -> None:
    pod = await start_pod()
    pod.inject(Faults(adapters="silent"))
    with pytest.raises(ModelServerError, match=r"/v1/load_lora_adapter: no answer within 0\.1 s$"):
        await hasty.load(at(pod), FOOD)
    with pytest.raises(ModelServerError, match=r"/v1/unload_lora_adapter: no answer within 0\.05 s$"):
        await hasty.unload(at(pod), "cad")


async def test_connections_that_are_reset(start_pod: StartPod, client: HttpModelServer) -> None:
    pod = await start_pod()
    pod.inject(Faults(drop_connections=True))
    with pytest.raises(ModelServerError, match="/v1/models: "):
        await client.served_models(at(pod))
