"""RequestSide of `--workers 0`: this process answers by itself."""

import asyncio
from collections.abc import Sequence

from epp.app.answering import Answering, Surroundings
from epp.app.listening import bind
from epp.app.membership import EndpointFollower
from epp.app.options import ServeOptions
from epp.app.request_side import FINISH_GRACE_S, ServingState
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.scheduler import Scheduler
from epp.core.scheduling.session_token import SessionKey
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.admin.pages import DecisionsPage
from epp.edge.extproc.health import Readiness
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.sink import PrometheusSink


class OwnRequests:
    """See RequestSide."""

    def __init__(
        self,
        options: ServeOptions,
        config: PickerConfig,
        around: Surroundings,
        key: SessionKey,
        readiness: Readiness,
    ) -> None:
        self._options = options
        self._around = around
        ledger = InFlightLedger()

        def roster_of(scheduler: Scheduler) -> Roster:
            self.roster = Roster(
                ledger,
                around.clock,
                metrics_stale_after_s=options.metrics_stale_after_s,
                slot_renewed=scheduler.forget_slot,
                load_noted=scheduler.load_noted,
                attributes=config.metrics.custom_attributes if config.metrics else (),
            )
            return self.roster

        self._parts = Answering(options, config, around, key=key, ledger=ledger, pool_of=roster_of, readiness=readiness)
        self.followers: Sequence[EndpointFollower] = (self._parts.precise,)
        self.sink: PrometheusSink = self._parts.sink
        self.counts = self.sink
        self.flow: FlowSeries = self._parts.flow
        self.decisions: DecisionsPage = self._parts.decisions.prepare
        self.processes = None
        self.is_serving = True

    @property
    def state(self) -> ServingState:
        """See RequestSide."""
        return self._parts.state

    @property
    def ports(self) -> tuple[int, ...]:
        """See RequestSide."""
        return (self._parts.transport.port,)

    async def gather(self) -> None:
        """Everything is known here."""

    async def start(self) -> None:
        """See RequestSide."""
        await bind("grpc-port", self._options.bind_address, self._options.grpc_port, self._parts.transport.start)

    async def run(self) -> None:
        """See RequestSide."""
        await self._parts.precise.run()

    def take_over(self, config: PickerConfig, text: bytes) -> None:  # noqa: ARG002  only other processes need the text
        """See RequestSide."""
        self._parts.take_over(config)

    def pool_changed(self) -> None:
        """See RequestSide."""
        self._parts.routing.changed()

    def load_changed(self) -> None:
        """See RequestSide."""
        self._parts.routing.changed()

    def set_ready(self, *, is_ready: bool) -> None:
        """The readiness of the health service is this process' own."""

    async def drain(self, interrupted: asyncio.Event, timeout_s: float) -> None:
        """See RequestSide."""
        try:
            await asyncio.wait_for(interrupted.wait(), timeout_s)
        except TimeoutError:
            self._around.logger.verbose("drain time-out passed", open_streams=self.state.streams_open)
        self._parts.routing.drain()
        await self._parts.transport.drain(FINISH_GRACE_S)

    async def stop(self) -> None:
        """See RequestSide."""
        await self._parts.transport.drain(0.0)
        self._parts.routing.stop()
        await self._parts.precise.close()
