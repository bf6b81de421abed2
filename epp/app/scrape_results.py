"""LoadSink of the process: scrapes go to the roster, failures are counted too, and who waits for room is told."""

from collections.abc import Callable

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.core.state.columns import Derived
from epp.core.state.roster import SlotRoster
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.period import Attention

CALM_KV_USAGE = 0.5


def attention(roster: SlotRoster, endpoint: Endpoint) -> Attention:
    """How closely the endpoint is to be watched.

    Calm is one where nothing waits and nobody else's request was seen, with half of its KV cache free.
    """
    slot = roster.slot_of(endpoint)
    if slot is None or roster.counts.is_idle(slot):
        return Attention.IDLE
    load = roster.current.load
    is_shared = load.derived.item(slot, Derived.OTHERS) > 0.0 or load.waiting.item(slot) > 0.0
    return Attention.BUSY if is_shared or not load.kv_usage.item(slot) < CALM_KV_USAGE else Attention.CALM


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
