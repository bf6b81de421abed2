"""What the picker tells Envoy of an answer's token usage stands in Envoy's access log, in both body modes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from epp.lab.plan import StackPlan
from tests.support.access_log import log_entries, with_access_log
from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack, live_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: request-attribute-reporter
  parameters:
    attributes:
    - key: {name: cost}
      expression: usage.prompt_tokens + 1000 * usage.completion_tokens
- type: destination-endpoint-served-verifier
- type: queue-scorer
- type: max-score-picker
"""


class Logged(NamedTuple):
    """A stack and Envoy's access log."""

    stack: LiveStack
    log: Path

    def costs(self, request_id: str) -> list[int]:
        """What the log has of one request."""
        return [int(entry["cost"] or 0) for entry in log_entries(self.log, request_id)]

    async def cost(self, request_id: str) -> int:
        """The same, as soon as it is there."""
        await eventually(lambda: self.costs(request_id), within_s=10.0, what="a line of the access log")
        [found] = self.costs(request_id)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["buffered", "full-duplex"])
async def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Logged]:
    directory = tmp_path_factory.mktemp("reports")
    config, log = directory / "config.yaml", directory / "access.log"
    config.write_text(CONFIG)
    plan = StackPlan(pods=2, body_mode=request.param, speed=50.0, config_file=config)
    async with live_stack(
        plan, lambda config: with_access_log(config, log, cost="%DYNAMIC_METADATA(envoy.lb:cost)%")
    ) as stack:
        yield Logged(stack, log)


@pytest_asyncio.fixture(loop_scope="module")
async def logged(shared: Logged) -> AsyncIterator[Logged]:
    yield shared
    await shared.stack.assert_clean()


@pytest.mark.parametrize("stream", [False, True])
async def test_the_cost_of_an_answer_is_told(logged: Logged, stream: bool) -> None:
    fields: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
    reply = await logged.stack.complete("tell me", max_tokens=7, stream=stream, ignore_eos=True, **fields)
    assert reply.status == 200
    cost = await logged.cost(reply.request_id)
    assert cost // 1000 == 7
    assert cost % 1000 > 0


async def test_an_error_costs_nothing(logged: Logged) -> None:
    reply = await logged.stack.complete("tell me", model="nobody")
    assert reply.status == 404
    assert await logged.cost(reply.request_id) == 0


async def test_the_client_is_told_who_served(logged: Logged) -> None:
    reply = await logged.stack.complete("tell me")
    assert reply.headers["x-conformance-test-served-endpoint"] == reply.served_by
