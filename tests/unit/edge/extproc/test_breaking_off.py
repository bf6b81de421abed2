"""Breaking off a dispatched request through the transport: an error for the client, and nothing is left."""

import pytest

from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason
from epp.core.domain.ports import Outcome
from epp.core.domain.request import InferenceRequest
from epp.core.flow import refusals
from epp.core.flow.ticket import BreakOff
from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import HoldingRouter, Picker, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'


class Breaking(HoldingRouter):
    """RoutingPort that keeps how to break off what was dispatched."""

    def __init__(self, picker: Picker) -> None:
        super().__init__(picker.router, wait_s=1.0)
        self.running: list[BreakOff] = []

    def decide(self, request: InferenceRequest) -> Decision:
        return self._router.decide(request)

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        self.running.append(break_off)


@pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED], ids=lambda mode: mode.name)
async def test_before_the_answer(mode: BodyMode) -> None:
    picker = Picker()
    picker.routing = router = Breaking(picker)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        await request.send(BODY)
        [break_off] = router.running
        break_off(refusals.evicted())
        with pytest.raises(Refused) as refused:
            await request.answered(served="")
        assert refused.value.status == 429
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == DroppedReason.EVICTED.value
        assert refused.value.headers["retry-after"] == "1"
        assert picker.ledger.open_count == 1, "the model server works until the stream has ended"
        request.reset()
        await picker.at_rest()
        [report] = picker.metrics.reports
        assert report.outcome is Outcome.ERROR
        break_off(refusals.evicted())
        assert len(picker.metrics.refused) == 1, "after the end nothing happens"
