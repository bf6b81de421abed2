from epp.core.domain.errors import BadRequest
from epp.core.domain.request import InferenceRequest
from epp.edge.observe.tee import TeeSink
from tests.support.picker import RecordedMetrics
from tests.support.routed_requests import decision, report


def test_every_call_reaches_every_sink() -> None:
    sinks = RecordedMetrics(), RecordedMetrics()
    tee = TeeSink(*sinks)
    request, refusal = InferenceRequest(request_id="r"), BadRequest("no")
    routed, ended = decision(request), report()

    tee.request_started(request)
    tee.request_routed(routed)
    tee.request_refused(request, refusal)
    tee.request_finished(routed, ended)
    tee.picker_bypassed("10.0.0.1:8000")

    for sink in sinks:
        assert (sink.started, sink.routed, sink.refused) == ([request], [routed], [(request, refusal)])
        assert (sink.finished, sink.bypassed) == ([(routed, ended)], ["10.0.0.1:8000"])
