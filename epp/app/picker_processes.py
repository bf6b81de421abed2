"""RequestSide of `--workers N`: picker processes, kept alive, told what this process learns, asked how they do."""

import asyncio
from collections.abc import Callable, Sequence
from math import inf

from epp.app.answering import Surroundings
from epp.app.membership import EndpointFollower
from epp.app.options import ServeOptions, TransportKind
from epp.app.picker_handle import PickerHandle
from epp.app.picker_news import PickerNews
from epp.app.picker_survey import PickerSurvey
from epp.app.request_side import FINISH_GRACE_S, ServingState
from epp.app.several_pickers import check_config
from epp.app.spread import Spread
from epp.app.told_options import options_written
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.session_token import SessionKey
from epp.core.state.cooldown import ToldCoolDowns
from epp.core.state.in_flight_rows import WatchedCounts
from epp.core.state.roster import SlotRoster
from epp.edge.admin.pages import DecisionsPage
from epp.edge.observe.families import Dialect
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.picker_families import ProcessNumbers
from epp.edge.observe.sink import PrometheusSink
from epp.edge.observe.told_counts import ToldCounts
from epp.edge.peers.messages import (
    Begin,
    Configure,
    Configured,
    ConnectionClosed,
    Drain,
    Failing,
    Learned,
    Message,
    Reached,
    SendGuestsHome,
    Serving,
    TableTaken,
    Told,
)
from epp.edge.peers.shared_memory import MOST_SLOTS, SharedMemory

FIRST_BACKOFF_S = 0.1
LONGEST_BACKOFF_S = 10.0
LOOK_EVERY_S = 5.0
START_WITHIN_S = 60.0
END_WITHIN_S = FINISH_GRACE_S + 12.0
"""beyond the grace: what the server itself takes for connections that are not closed"""


class PickerProcesses:
    """See RequestSide."""

    def __init__(
        self,
        options: ServeOptions,
        config: PickerConfig,
        text: bytes | None,
        around: Surroundings,
        key: SessionKey,
        *,
        on_serving: Callable[[], None],
        on_refused: Callable[[PickerConfig, str], None],
    ) -> None:
        """`on_serving`: a picker came or went. `on_refused`: a picker could not take a configuration, and the one
        before is in force again. Raises FlagError for a configuration that needs one picker.
        """
        check_config(config, options.workers)
        self._options = options
        self._around = around
        self._key = key
        self._policy = build_policy(config, key)
        self._first_text = text
        self._config, self._text = config, text
        self._former = config, text
        """in force again if a picker cannot take the new one"""
        self._configurations = 0
        self._on_serving = on_serving
        self._on_refused = on_refused
        attributes = config.metrics.custom_attributes if config.metrics else ()
        self._memory = SharedMemory.make(options.workers, MOST_SLOTS, attributes)
        self._watched = WatchedCounts(self._memory.rows)
        self._pickers: list[PickerHandle] = []
        self.sink = PrometheusSink(Dialect(options.metric_names))
        self.counts = ToldCounts(self.sink)
        self._survey = PickerSurvey(lambda: self._pickers, self.counts)
        self.decisions: DecisionsPage = self._survey.decisions
        self.flow = FlowSeries()
        self.followers: Sequence[EndpointFollower] = ()
        cooldowns = ToldCoolDowns(lambda name, failed: self._tell_all(Reached(name, failed)))
        self._news = PickerNews(self._tell_all)
        self.roster = SlotRoster(
            self._watched,
            around.clock,
            metrics_stale_after_s=options.metrics_stale_after_s,
            load=self._memory.load,
            load_noted=lambda slot, report: self._news.scraped(slot, self._watched.generation(slot), report),
            cooldowns=cooldowns,
            version_in_use=lambda: min((each.version_taken for each in self._pickers if each.is_alive), default=inf),
        )
        self._cooldowns = cooldowns
        self._spread = self._make_spread()
        self._keeping: list[asyncio.Task[None]] = []
        self._restarts = 0
        self._is_draining = False
        self._pool_since = inf
        """version of the first table with a pool"""

    @property
    def state(self) -> ServingState:
        """See RequestSide."""
        return self._survey.state

    @property
    def ports(self) -> tuple[int, ...]:
        """See RequestSide."""
        return self._spread.ports if self._spread else tuple(each.port for each in self._pickers)

    @property
    def is_serving(self) -> bool:
        """See RequestSide: whether a picker takes requests and knows of the pool."""
        return any(each.is_serving and each.version_taken >= self._pool_since for each in self._pickers)

    def processes(self) -> ProcessNumbers:
        """See RequestSide."""
        return ProcessNumbers(
            serving=sum(each.is_serving for each in self._pickers),
            restarts=self._restarts,
            silences=self._survey.silences,
            pickers=self._survey.numbers,
        )

    async def start(self) -> None:
        """Starts every picker and waits until all of them serve; raises InvalidInput when one does not."""
        if self._spread is not None:
            self._spread.start()
        for number in range(self._options.workers):
            picker = PickerHandle(number, self._hear, self._around.clock)
            self._pickers.append(picker)
            await self._begin(picker, self._port_of(number))
        self._keeping = [asyncio.ensure_future(self._keep(each.number)) for each in self._pickers]
        deadline = self._around.clock() + START_WITHIN_S
        while not all(each.is_serving for each in self._pickers):
            if any(task.done() for task in self._keeping) or self._restarts or self._around.clock() > deadline:
                raise InvalidInput("--workers", "a picker process did not start; what it said is above")
            await asyncio.sleep(0.01)

    async def run(self) -> None:
        """See RequestSide."""
        async with asyncio.TaskGroup() as group:
            if self._spread is not None:
                group.create_task(self._spread.run())
            group.create_task(self._end_silent_ones())
            for task in self._keeping:
                group.create_task(_joined(task))

    def take_over(self, config: PickerConfig, text: bytes) -> None:
        """See RequestSide; what a picker alone can find wrong is told by `on_refused`."""
        self._policy = build_policy(config, self._key, former=self._policy)
        self._former = self._config, self._text
        self._config, self._text = config, text
        self._configurations += 1
        self._tell_all(Configure(self._configurations, text))

    def pool_changed(self) -> None:
        """See RequestSide."""
        if self._pool_since == inf and self.roster.current.pool is not None:
            self._pool_since = self.roster.current.version
        self._news.pool_changed(self.roster.current, self.roster.state, self._watched)

    def load_changed(self) -> None:
        """The columns are shared; whoever waits in a picker is woken by its notes."""

    def set_ready(self, *, is_ready: bool) -> None:
        """See RequestSide."""
        self._news.ready(is_ready)

    async def gather(self) -> None:
        """See RequestSide; what does not answer in time is counted, and was told at most a second or two ago."""
        await self._survey.ask()
        told = self._survey.told
        self._watched.open_places = sum(one.reservations_open for one in told)
        self._watched.open_further_places = sum(one.further_reservations_open for one in told)

    async def drain(self, interrupted: asyncio.Event, timeout_s: float) -> None:
        """See RequestSide."""
        try:
            await asyncio.wait_for(interrupted.wait(), timeout_s)
        except TimeoutError:
            self._around.logger.verbose("drain time-out passed", open_streams=self.state.streams_open)
        self._is_draining = True
        if self._spread is not None:
            await self._spread.close()
        self._tell_all(Drain(FINISH_GRACE_S))
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=END_WITHIN_S)

    async def stop(self) -> None:
        """See RequestSide."""
        self._is_draining = True
        for picker in self._pickers:
            picker.kill()
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=END_WITHIN_S)
        if self._spread is not None:
            await self._spread.close()

    def _make_spread(self) -> Spread | None:
        options = self._options
        if options.transport is TransportKind.GRPCIO:
            return None
        count = options.workers if options.worker_ports else 1
        ports = [options.grpc_port + place if options.grpc_port else 0 for place in range(count)]
        return Spread(options.bind_address, ports, lambda: self._pickers, self._memory.rows.open_requests)

    def _port_of(self, number: int) -> int | None:
        """Where a picker listens by itself; the same after a restart."""
        if self._spread is not None:
            return None
        former = self._pickers[number].port if number < len(self._pickers) else 0
        return former or (self._options.grpc_port + number if self._options.grpc_port else 0)

    async def _begin(self, picker: PickerHandle, port: int | None) -> None:
        begin = Begin(
            number=picker.number,
            pickers=self._options.workers,
            slots=MOST_SLOTS,
            options=options_written(self._options),
            config_text=self._first_text,
            session_key=(self._key.given, self._key.own),
            port=port,
        )
        await picker.start(begin, self._memory.descriptor)
        if self._text != self._first_text:
            picker.send(Configure(self._configurations, self._text))
        self._news.catch_up(picker)
        picker.send(Failing(self._cooldowns.known()))

    async def _keep(self, number: int) -> None:
        """Follows one picker, and starts it anew whenever it ends."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            served_from = self._around.clock()
            code = await self._pickers[number].listen()
            self._ended(number, code)
            if self._is_draining:
                return
            backoff_s = FIRST_BACKOFF_S if self._around.clock() - served_from > LONGEST_BACKOFF_S else 2 * backoff_s
            await asyncio.sleep(min(backoff_s, LONGEST_BACKOFF_S))
            port = self._port_of(number)
            picker = PickerHandle(number, self._hear, self._around.clock)
            picker.port = port or 0
            self._pickers[number] = picker
            await self._begin(picker, port)

    async def _end_silent_ones(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for picker in self._survey.silent(self._around.clock()):
                self._around.logger.warning("picker process says nothing; it is killed", picker=picker.number)
                picker.kill()

    def _ended(self, number: int, code: int) -> None:
        """Its process is gone, so that its cells are ours now."""
        self._memory.rows.clear(number)
        self.counts.ended(number)
        if self._is_draining:
            return
        self._restarts += 1
        self._around.logger.warning("picker process ended; it is started anew", picker=number, exit_code=code)
        self._on_serving()

    def _hear(self, picker: PickerHandle, message: Message) -> None:
        match message:
            case Serving():
                self._came(picker)
            case TableTaken():
                self._on_serving()
            case Told():
                self.counts.told(picker.number, message.counts)
            case Learned():
                for other in self._pickers:
                    if other is not picker:
                        other.offer(message)
            case Reached():
                self._cooldowns.heard(message.key, self._around.clock(), failed=message.failed)
                for other in self._pickers:
                    if other is not picker:
                        other.send(message)
            case ConnectionClosed():
                picker.connections_closed += 1
            case Configured() if message.problem and message.number == self._configurations:
                self._refused(picker, message.problem)

    def _came(self, picker: PickerHandle) -> None:
        self._around.logger.info("picker process serves", picker=picker.number, pid=picker.pid)
        if self._spread is not None:
            self._spread.picker_came()
        for other in self._pickers:
            if other is not picker:
                other.send(SendGuestsHome())
        self._on_serving()

    def _refused(self, picker: PickerHandle, problem: str) -> None:
        self._config, self._text = self._former
        self._configurations += 1
        self._tell_all(Configure(self._configurations, self._text))
        self._on_refused(self._config, f"picker process {picker.number}: {problem}")

    def _tell_all(self, message: Message) -> None:
        for picker in self._pickers:
            picker.send(message)


async def _joined(task: asyncio.Task[None]) -> None:
    """The task's end, whose cancellation is not for whoever waits here."""
    await asyncio.shield(task)
