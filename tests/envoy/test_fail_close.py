"""fail-close.yaml: no pick, no service, in words a client understands; and still no answer is cut."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp.lab.envoy_config import EnvoyOptions
from tests.support.envoy_stack import EnvoyStack, checked, dead_address, running_stack
from tests.support.scripted_ext_proc import picking

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICKED = {"x-picked-by": "epp"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    options = EnvoyOptions(failure_mode="close")
    async with running_stack(tmp_path_factory.mktemp("close"), options=options) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        shared.picker.script = picking(shared.address_of(1), PICKED)
        yield shared


async def test_a_picked_request_is_served_and_the_mark_stays_inside(stack: EnvoyStack) -> None:
    answer = await stack.post()
    assert (answer.status, answer.served_by) == (200, stack.address_of(1))
    assert "x-picked-by" not in answer.headers


async def test_a_request_without_body_is_served_too(stack: EnvoyStack) -> None:
    async with stack.session.get(stack.url + "/v1/models") as response:
        assert (await response.json())["served_by"] == stack.address_of(1)


async def test_without_picker_the_answer_is_503_in_openai_style(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    await stack.picker.die()
    answer = await stack.post(path="/fail", x_picked_by="a client that knows the trick")
    assert answer.status == 503
    assert answer.response_headers["content-type"] == "application/json"
    assert answer.response_headers["retry-after"] == "1"
    error = json.loads(answer.content)["error"]
    assert error["code"] == 503
    assert error["message"].startswith("inference error: ServiceUnavailable - ")
    assert not any(backend.requests for backend in stack.backends)


async def test_an_answer_is_not_cut_when_the_picker_dies(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    async with stack.session.post(stack.url + "/stream") as response:
        assert await response.content.readline() == b"data: first\n"
        await stack.picker.die()
        await stack.until(lambda active: active == 0, "cluster.ext_proc.upstream_rq_active")
        stack.backends[1].release.set()
        assert (await response.read()).endswith(b"data: last\n\n")


async def test_a_list_of_endpoints_is_followed_here_too(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, *(backend.address for backend in stack.backends))
        stack.picker.script = picking(f"{dead},{stack.address_of(0)}", PICKED)
        assert (await stack.post()).served_by == stack.address_of(0)
