"""What a picker shows of itself: the pages of its HTTP port, and the self-check behind one of them."""

import asyncio
from collections.abc import Callable

import msgspec

from epp.core.config.describe import describe
from epp.core.config.settings import PickerConfig
from epp.core.domain.ports import Clock
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheProducer
from epp.core.scheduling.scheduler import Policy
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.admin.pages import AdminPages, Readiness
from epp.edge.observe.catalogue import Catalogue, OutsideGauges
from epp.edge.observe.decisions import DecisionLog
from epp.edge.observe.families import Dialect
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.logs import get_logger
from epp.edge.observe.pool_reading import PoolReader
from epp.edge.observe.self_check import Observation, SelfCheck
from epp.edge.observe.sink import PrometheusSink

SELF_CHECK_EVERY_S = 5.0


class Shown(msgspec.Struct, frozen=True):
    """What the pages are made of; callables are asked on the event loop when a page is."""

    roster: Roster
    ledger: InFlightLedger
    sink: PrometheusSink
    decisions: DecisionLog
    flow: FlowSeries
    config: Callable[[], PickerConfig]
    policy: Callable[[], Policy]
    unready_reason: Callable[[], str | None]
    """None when requests may come"""
    streams_open: Callable[[], int]
    buffered_bytes: Callable[[], int]
    object_problems: Callable[[], int]
    objects_stale_s: Callable[[], float] | None
    """None where the objects are files, which are always at hand"""


class PickerPages:
    """`pages` for the HTTP port; `check_regularly` until cancelled."""

    def __init__(self, shown: Shown, dialect: Dialect, clock: Clock) -> None:
        self._shown = shown
        self._pool = PoolReader(shown.roster, shown.ledger, shown.roster.cooldowns, clock)
        self._catalogue = Catalogue(
            shown.sink,
            self._pool,
            clock,
            dialect=dialect,
            flow=shown.flow,
            outside=OutsideGauges(
                prefix_index_blocks=self._count_index_blocks,
                streams_open=shown.streams_open,
                buffered_bytes=shown.buffered_bytes,
                object_problems=shown.object_problems,
                objects_stale_s=shown.objects_stale_s,
            ),
        )
        self._self_check = SelfCheck(self._observe, get_logger("self-check"))

    def pages(self) -> AdminPages:
        """One callable per page."""
        return AdminPages(
            metrics=self._catalogue.prepare,
            readiness=self._readiness,
            decisions=self._shown.decisions.prepare,
            endpoints=lambda: self._pool.read().rows,
            config=lambda: lambda: "\n".join(describe(self._shown.config())) + "\n",
            self_check=self._findings_page,
        )

    async def check_regularly(self) -> None:
        """Looks for what does not fit together, every SELF_CHECK_EVERY_S."""
        while True:
            await asyncio.sleep(SELF_CHECK_EVERY_S)
            self._self_check.run()

    def _readiness(self) -> Readiness:
        reason = self._shown.unready_reason()
        return Readiness(reason is None, reason or "")

    def _findings_page(self) -> Callable[[], object]:
        found = self._self_check.findings
        return lambda: found

    def _observe(self) -> Observation:
        return Observation(
            pool=self._pool.read(),
            totals=self._shown.sink.totals(),
            streams_open=self._shown.streams_open(),
            object_problems=self._shown.object_problems(),
        )

    def _count_index_blocks(self) -> int:
        producers = [named.plugin for named in self._shown.policy().producers]
        kinds = (ApproxPrefixCacheProducer, PrecisePrefixCacheProducer)
        return sum(plugin.index_blocks for plugin in producers if isinstance(plugin, kinds))
