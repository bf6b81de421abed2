"""What a picker shows of itself: the pages of its HTTP port, and the self-check behind one of them."""

import asyncio
from collections.abc import Callable

import msgspec

from epp.app.request_side import RequestSide
from epp.core.config.describe import describe
from epp.core.config.settings import PickerConfig
from epp.core.domain.ports import Clock
from epp.core.state.roster import SlotRoster
from epp.edge.admin.pages import AdminPages, Readiness
from epp.edge.observe.catalogue import Catalogue, OutsideGauges
from epp.edge.observe.families import Dialect
from epp.edge.observe.logs import get_logger
from epp.edge.observe.pool_reading import PoolReader
from epp.edge.observe.self_check import Observation, SelfCheck

SELF_CHECK_EVERY_S = 5.0


class Shown(msgspec.Struct, frozen=True):
    """What the pages are made of; callables are asked on the event loop when a page is."""

    roster: SlotRoster
    requests: RequestSide
    config: Callable[[], PickerConfig]
    unready_reason: Callable[[], str | None]
    """None when requests may come"""
    object_problems: Callable[[], int]
    objects_stale_s: Callable[[], float] | None
    """None where the objects are files, which are always at hand"""


class PickerPages:
    """`pages` for the HTTP port; `check_regularly` until cancelled."""

    def __init__(self, shown: Shown, dialect: Dialect, clock: Clock) -> None:
        self._shown = shown
        self._pool = PoolReader(shown.roster, shown.roster.counts, shown.roster.cooldowns, clock)
        requests = shown.requests
        self._catalogue = Catalogue(
            requests.counts,
            self._pool,
            clock,
            dialect=dialect,
            flow=requests.flow,
            outside=OutsideGauges(
                prefix_index_blocks=lambda: requests.state.index_blocks,
                streams_open=lambda: requests.state.streams_open,
                buffered_bytes=lambda: requests.state.buffered_bytes,
                processes=requests.processes,
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
            decisions=self._shown.requests.decisions,
            endpoints=lambda: self._pool.read().rows,
            config=lambda: lambda: "\n".join(describe(self._shown.config())) + "\n",
            self_check=self._findings_page,
            gather=self._shown.requests.gather,
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
            totals=self._shown.requests.counts.totals(),
            streams_open=self._shown.requests.state.streams_open,
            object_problems=self._shown.object_problems(),
        )
