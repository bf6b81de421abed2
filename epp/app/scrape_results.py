"""LoadSink of the process: scrapes go to the roster, failures are counted too, and who waits for room is told."""

from collections.abc import Callable

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.core.state.roster import SlotRoster
from epp.edge.observe.sink import PrometheusSink


class ScrapeResults:
    """See the module."""

    def __init__(self, roster: SlotRoster, sink: PrometheusSink, changed: Callable[[], None]) -> None:
        self._roster = roster
        self._sink = sink
        self._changed = changed

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        """A page was read."""
        self._roster.load_reported(endpoint, report)
        self._changed()

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        """A page could not be read."""
        self._roster.scrape_failed(endpoint, local_origin=local_origin)
        self._sink.scrape_failed("unreachable" if local_origin else "answer")
