"""envoy.yaml sends each request where the EPP says, and nowhere else on a client's word."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from epp._pb.ext_proc_pb2 import ProcessingResponse
from epp.edge.gateway.eds import EdsFile
from epp.lab.envoy_config import EnvoyOptions, SocketAddress, envoy_config
from epp.lab.envoy_process import EnvoyProcess
from tests.support.envoy_stack import EnvoyStack, checked, dead_address, running_stack
from tests.support.scripted_ext_proc import (
    DESTINATION,
    SERVED,
    Conversation,
    go_on,
    header,
    kind_of,
    metadata,
    pick,
    picking,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    async with running_stack(tmp_path_factory.mktemp("routing"), backends=3) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


async def test_every_request_goes_to_the_endpoint_that_the_picker_names(stack: EnvoyStack) -> None:
    for index in (2, 0, 1):
        stack.picker.script = picking(stack.address_of(index))
        assert (await stack.post()).served_by == stack.address_of(index)


async def test_a_request_without_body_is_picked_from_its_headers(stack: EnvoyStack) -> None:
    stack.picker.script = picking(stack.address_of(2))
    async with stack.session.get(stack.url + "/v1/models") as response:
        assert (await response.json())["served_by"] == stack.address_of(2)
    assert stack.picker.conversations[0].kinds() == ["request_headers", "response_headers"]


async def test_the_next_endpoint_of_a_list_is_tried_when_the_first_is_dead(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, *(backend.address for backend in stack.backends))
        stack.picker.script = picking(f"{dead},{stack.address_of(2)}")
        assert (await stack.post()).served_by == stack.address_of(2)
    assert stack.picker.conversations[0].kinds().count("request_headers") == 1, "one conversation whatever the retries"


async def test_the_third_endpoint_of_a_list_is_tried_when_two_are_dead(stack: EnvoyStack) -> None:
    async with dead_address("127.0.0.98") as first, dead_address("127.0.0.99") as second:
        await stack.set_endpoints(first, second, *(backend.address for backend in stack.backends))
        stack.picker.script = picking(f"{first},{second},{stack.address_of(1)}")
        assert (await stack.post()).served_by == stack.address_of(1)


async def test_a_single_dead_endpoint_is_replaced_by_a_live_one(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, stack.address_of(0))
        stack.picker.script = picking(dead)
        assert (await stack.post()).served_by == stack.address_of(0)


async def test_many_retries_at_once_are_not_limited(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, *(backend.address for backend in stack.backends))
        stack.picker.script = picking(f"{dead},{stack.address_of(1)}")
        answers = await asyncio.gather(*(stack.post() for _ in range(60)))
    assert [answer.status for answer in answers] == [200] * 60
    assert {answer.served_by for answer in answers} == {stack.address_of(1)}
    assert await stack.stat("cluster.pool.upstream_rq_retry_overflow") == 0


async def test_the_picker_is_told_who_served_after_a_retry(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, stack.address_of(2))
        stack.picker.script = picking(f"{dead},{stack.address_of(2)}")
        await stack.post()
    answered = stack.picker.conversations[0].first("response_headers")
    assert metadata(answered, "envoy.lb")[SERVED] == stack.address_of(2)
    assert header(answered, ":status") == "200"


async def test_only_metadata_decides_and_never_a_header(stack: EnvoyStack) -> None:
    """A header could come from a client; of the metadata `envoy.lb` the picker is the only writer."""

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) == "request_body":
                answer = pick("request_body", stack.address_of(1), {DESTINATION: stack.address_of(2)})
                yield answer
            else:
                yield go_on(message)

    stack.picker.script = script
    assert (await stack.post()).served_by == stack.address_of(1)


async def test_an_address_outside_the_pool_is_never_dialled(stack: EnvoyStack) -> None:
    async with dead_address() as stranger:
        stack.picker.script = picking(stranger)
        answer = await stack.post()
    assert answer.status == 200
    assert answer.served_by in {backend.address for backend in stack.backends}


async def test_a_stranger_in_a_list_is_skipped(stack: EnvoyStack) -> None:
    stack.picker.script = picking(f"192.0.2.1:8000,{stack.address_of(2)}")
    assert (await stack.post()).served_by == stack.address_of(2)


async def test_headers_that_belong_to_the_picker_are_removed_from_clients(stack: EnvoyStack) -> None:
    stack.picker.script = picking(stack.address_of(1))
    wanted = stack.address_of(2)
    answer = await stack.post(
        x_gateway_destination_endpoint=wanted,
        x_picked_by="me",
        x_prefiller_host_port=wanted,
        x_encoder_hosts_ports=wanted,
        x_kv_cache_source_host_port=wanted,
    )
    assert wanted not in answer.headers.values(), "a sidecar would call whomever they name"
    assert answer.served_by == stack.address_of(1)
    asked = stack.picker.conversations[0].first("request_headers")
    assert header(asked, "x-gateway-destination-endpoint") is None
    assert header(asked, "x-picked-by") is None
    assert answer.headers["x-gateway-destination-endpoint"] == stack.address_of(1)
    assert "x-picked-by" not in answer.headers


async def test_a_client_cannot_choose_the_endpoint_while_the_picker_is_dead(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    await stack.set_endpoints(stack.address_of(0))
    await stack.picker.die()
    answer = await stack.post(x_gateway_destination_endpoint=stack.address_of(2))
    assert answer.served_by == stack.address_of(0)


async def test_a_changed_endpoint_file_counts_at_once(stack: EnvoyStack) -> None:
    await stack.set_endpoints(stack.address_of(0), stack.address_of(1))
    stack.picker.script = picking(stack.address_of(2))
    assert (await stack.post()).served_by != stack.address_of(2)
    await stack.set_endpoints(stack.address_of(2))
    assert (await stack.post()).served_by == stack.address_of(2)


async def test_an_answer_goes_on_when_its_endpoint_leaves_the_pool(stack: EnvoyStack) -> None:
    stack.picker.script = picking(stack.address_of(2))
    async with stack.session.post(stack.url + "/stream") as response:
        assert await response.content.readline() == b"data: first\n"
        await stack.set_endpoints(stack.address_of(0))
        stack.backends[2].release.set()
        assert (await response.read()).endswith(b"data: last\n\n")


async def test_an_empty_pool_answers_503(stack: EnvoyStack) -> None:
    await stack.set_endpoints()
    assert (await stack.post(path="/fail")).status == 503
    assert stack.backends[0].requests == []


async def test_every_request_has_an_id_and_a_clean_path(stack: EnvoyStack) -> None:
    answer = await stack.post(path="/v1//completions")
    assert answer.path == "/v1/completions"
    assert answer.headers["x-request-id"] == answer.response_headers["x-request-id"]
    assert (await stack.post(x_request_id="mine")).headers["x-request-id"] == "mine"


async def test_a_client_cannot_set_a_time_limit_or_retries(stack: EnvoyStack) -> None:
    answer = await stack.post(x_envoy_upstream_rq_timeout_ms="1", x_envoy_max_retries="9")
    assert answer.status == 200
    assert "x-envoy-upstream-rq-timeout-ms" not in answer.headers


async def test_the_clients_address_is_passed_on(stack: EnvoyStack) -> None:
    """For a client on the loopback Envoy names the machine's own address."""
    assert (await stack.post()).headers["x-forwarded-for"]


async def test_a_mounted_config_map_is_followed(tmp_path: Path) -> None:
    """Kubernetes changes one by exchanging a link to the directory, not the file."""
    for version, endpoints in (("v1", [("10.0.0.1", 8000)]), ("v2", [("10.0.0.1", 8000), ("10.0.0.2", 8000)])):
        (tmp_path / version).mkdir()
        EdsFile(tmp_path / version / "eds.yaml").write(endpoints)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "eds.yaml").symlink_to("..data/eds.yaml")
    any_port = SocketAddress("127.0.0.1", 0)
    path = str(tmp_path / "eds.yaml")
    config = envoy_config(EnvoyOptions(listener=any_port, admin=any_port, probes="off", eds_path=path))
    async with EnvoyProcess(config) as envoy:
        assert await envoy.stats("^cluster.pool.membership_total$") == {"cluster.pool.membership_total": 1}
        (tmp_path / "..new").symlink_to("v2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        while True:
            if await envoy.stats("^cluster.pool.membership_total$") == {"cluster.pool.membership_total": 2}:
                break
            await asyncio.sleep(0.02)
