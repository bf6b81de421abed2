"""One MetricSink that passes every call on to several, in order."""

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import MetricSink, RequestReport
from epp.core.domain.request import InferenceRequest


class TeeSink:
    """MetricSink; see the module."""

    def __init__(self, *sinks: MetricSink) -> None:
        self._sinks = sinks

    def request_started(self, request: InferenceRequest) -> None:
        """To all."""
        for sink in self._sinks:
            sink.request_started(request)

    def request_routed(self, decision: Decision) -> None:
        """To all."""
        for sink in self._sinks:
            sink.request_routed(decision)

    def request_refused(self, request: InferenceRequest | None, refusal: Refusal) -> None:
        """To all."""
        for sink in self._sinks:
            sink.request_refused(request, refusal)

    def request_finished(self, decision: Decision, report: RequestReport) -> None:
        """To all."""
        for sink in self._sinks:
            sink.request_finished(decision, report)

    def picker_bypassed(self, destination: str) -> None:
        """To all."""
        for sink in self._sinks:
            sink.picker_bypassed(destination)
