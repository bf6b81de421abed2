"""A pool with books and scrapes on a clock of the test's own, and the signals that watch it."""

from collections.abc import Sequence

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.observe.catalogue import Build, Catalogue, OutsideGauges
from epp.edge.observe.families import Dialect
from epp.edge.observe.pool_reading import PoolReader
from epp.edge.observe.sink import PrometheusSink
from tests.support.metrics_page import ParsedPage
from tests.support.virtual_clock import VirtualClock

POOL = InferencePool("default", "vllm-pool", {"app": "vllm"}, (8000,))


class WatchedPool:
    """Metrics older than 2 s are stale."""

    def __init__(self, dialect: Dialect = Dialect.GIE, outside: OutsideGauges | None = None) -> None:
        self.clock = VirtualClock()
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, self.clock)
        self.reader = PoolReader(self.roster, self.ledger, self.roster.cooldowns, self.clock)
        self.sink = PrometheusSink(dialect)
        self.catalogue = Catalogue(
            self.sink, self.reader, self.clock, dialect=dialect, outside=outside, build=Build("abc123", "v1.2.3")
        )

    def contains(self, *endpoints: Endpoint, pool: InferencePool | None = POOL) -> None:
        """From now on these endpoints are ready."""
        self.roster.objects_changed(ObjectState(pool, endpoints))

    def scraped(self, endpoint: Endpoint, *, waiting: float = 0.0, running: float = 0.0, kv_usage: float = 0.0) -> None:
        """The endpoint's page says so now."""
        self.roster.load_reported(endpoint, LoadReport(waiting=waiting, running=running, kv_usage=kv_usage))

    def busy(self, endpoint: Endpoint, requests: int) -> None:
        """So many more requests of ours are in flight there."""
        slot = self.roster.slot_of(endpoint)
        assert slot is not None
        for _ in range(requests):
            self.ledger.reserve(slot, tokens=10)

    def unreachable(self, endpoints: Sequence[Endpoint]) -> None:
        """They were dialled in vain, often enough to cool down."""
        for endpoint in endpoints:
            for _ in range(2):
                self.roster.scrape_failed(endpoint, local_origin=True)

    def page(self) -> ParsedPage:
        """The text page, parsed."""
        content, _ = self.catalogue.prepare()()
        return ParsedPage(content)
