"""Model rewrites over the wire, spoken to as Envoy does in each body mode."""

import pytest

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.protocol.events import BodyMode
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import HoldingRouter, Picker, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
EXACT = InferenceModelRewrite("default", "aliases", "pool", (RewriteRule(("alias",), (RewriteTarget("final"),)),))
GENERIC = InferenceModelRewrite("default", "generic", "pool", (RewriteRule((), (RewriteTarget("final"),)),))
BODY = b'{"model" : "alias", "prompt":"x"}'
EDITED = b'{"model" : "final", "prompt":"x"}'
EVENTS = b'data: {"model":"final","a":1}\n\ndata: [DONE]\n\n'
RENAMED = b'data: {"model":"alias","a":1}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("mode", [BUFFERED, DUPLEX], ids=lambda mode: mode.name)
@pytest.mark.parametrize("response_mode", list(BodyMode)[1:5], ids=lambda mode: mode.name)
async def test_a_request_and_its_answer(mode: BodyMode, response_mode: BodyMode) -> None:
    async with serving(Picker(rewrites=(EXACT,))) as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode, response_mode)
        forwarded = await request.send(BODY)
        assert forwarded.body == EDITED
        assert forwarded.headers["content-length"] == str(len(EDITED))
        await request.answered(headers={"content-type": "text/event-stream"}, served=forwarded.destination)
        assert await request.response_body(EVENTS) == RENAMED
        await request.stream.half_close()
        await picker.at_rest()
        [decision] = picker.metrics.routed
        assert (decision.request.target_model, decision.request.model_rewrite) == ("final", "aliases")


async def test_a_body_that_waits_is_held_only_where_it_will_be_rewritten() -> None:
    picker = Picker(rewrites=(EXACT,))
    picker.routing = router = HoldingRouter(picker.router, 30.0)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        sending = envoy.in_background(envoy.request(BUFFERED).send(BODY))
        await eventually(lambda: len(router.held) == 1)
        other = envoy.in_background(envoy.request(BUFFERED).send(BODY.replace(b"alias", b"other")))
        await eventually(lambda: len(router.held) == 2)
        assert picker.budget.held_bytes == len(BODY)
        router.grant()
        router.grant()
        assert (await sending).body == EDITED
        assert (await other).body == BODY.replace(b"alias", b"other")
        assert picker.budget.held_bytes == 0


@pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.NONE], ids=lambda mode: mode.name)
async def test_a_body_that_is_not_shown_is_refused_where_it_has_to_be_rewritten(mode: BodyMode) -> None:
    async with serving(Picker(rewrites=(GENERIC,))) as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        with pytest.raises(Refused) as refused:
            await request.send(BODY)
        assert refused.value.status == 500
        assert "set request_body_mode" in refused.value.error["message"]
        request.reset()
        await picker.at_rest()


async def test_any_model_is_served_by_a_generic_rule_and_nothing_is_kept_of_its_name() -> None:
    async with serving(Picker(rewrites=(EXACT, GENERIC))) as picker, ExtProcClient(picker.port) as envoy:
        for number in range(100):
            request = envoy.request(BUFFERED)
            forwarded = await request.send(b'{"model":"model-%d","prompt":"x"}' % number)
            assert forwarded.body == b'{"model":"final","prompt":"x"}'
            request.reset()
        await picker.at_rest()
        assert len(picker.roster.current.rewrites.exact) == 1
        assert picker.budget.held_bytes == 0
