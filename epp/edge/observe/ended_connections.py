"""Connections that were ended because of what their peers did: counted by reason, and told in the log."""

from epp.edge.observe.repeated import RepeatedProblems
from epp.edge.observe.sink import PrometheusSink


class EndedConnections:
    """Of one port, by the name of its flag. Called with the peer's address, a reason of few, and a sentence."""

    def __init__(self, port: str, sink: PrometheusSink, problems: RepeatedProblems) -> None:
        self._port = port
        self._sink = sink
        self._problems = problems

    def __call__(self, peer: str, reason: str, detail: str) -> None:
        """Counts it; of several with one reason in a short time, one is in the log."""
        self._sink.connection_ended(reason)
        key = f"connection {self._port} {reason}"
        self._problems.warning(key, "connection ended", port=self._port, peer=peer, reason=reason, detail=detail)
