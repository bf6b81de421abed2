"""One picker process of several: answers requests, and knows of the world what the control process tells it."""

import asyncio
import os
import resource
import socket
import time

import msgspec

from epp.app.answering import Answering, Surroundings
from epp.app.config_watch import with_fixed_parts
from epp.app.configuration import config_of
from epp.app.listening import bind
from epp.app.membership import configured_names
from epp.app.options import ServeOptions
from epp.app.prefix_exchange import EVERY_S, PrefixExchange
from epp.app.settled_memory import SpareMemory, settle_memory
from epp.core.domain.errors import PickerError
from epp.core.scheduling.scheduler import Scheduler
from epp.core.scheduling.session_token import SessionKey
from epp.core.state.cooldown import ToldCoolDowns
from epp.core.state.in_flight_rows import SharedLedger
from epp.core.state.pool_state import FollowedRoster, PoolTable
from epp.edge.extproc.health import Readiness
from epp.edge.extproc.native_transport import NativeTransport
from epp.edge.observe.exposition import Series
from epp.edge.observe.families import Family
from epp.edge.observe.logs import get_logger
from epp.edge.observe.repeated import RepeatedProblems
from epp.edge.observe.told_counts import written_counts
from epp.edge.peers import handover
from epp.edge.peers.channel import Channel
from epp.edge.peers.messages import (
    Ask,
    AskDecisions,
    Begin,
    Configure,
    Configured,
    ConnectionClosed,
    Decisions,
    Drain,
    Failing,
    Learned,
    Message,
    Reached,
    Ready,
    Scraped,
    SendGuestsHome,
    Serving,
    Table,
    TableTaken,
    Told,
)
from epp.edge.peers.shared_memory import SharedMemory

TELL_EVERY_S = 1.0


class PickerWorker:
    """`serve` until the control process says that it is over, or is gone."""

    def __init__(self, begin: Begin, options: ServeOptions, memory_fd: int) -> None:
        self._begin = begin
        self._options = share_of(options, begin)
        self._logger = get_logger("picker")
        config = config_of(options, begin.config_text)
        attributes = config.metrics.custom_attributes if config.metrics else ()
        memory = SharedMemory(memory_fd, begin.pickers, begin.slots, attributes, writes=False)
        ledger = SharedLedger(memory.rows, begin.number)
        self._clock = clock = time.monotonic
        self._cooldowns = ToldCoolDowns(lambda key, failed: self._channel.send(Reached(key, failed)))
        around = Surroundings(self._logger, RepeatedProblems(self._logger, clock), clock, time.time)
        self._readiness = Readiness()

        def roster_of(scheduler: Scheduler) -> FollowedRoster:
            self._roster = FollowedRoster(
                ledger,
                memory.load,
                cooldowns=self._cooldowns,
                metrics_stale_after_s=options.metrics_stale_after_s,
                slot_renewed=scheduler.forget_slot,
                load_noted=scheduler.load_noted,
            )
            return self._roster

        self._parts = Answering(
            self._options,
            config,
            around,
            key=SessionKey(*begin.session_key),
            ledger=ledger,
            pool_of=roster_of,
            readiness=self._readiness,
        )
        self._exchange = PrefixExchange(ledger, self._tell_prefixes_soon)
        self._exchange_prefixes()
        self._channel: Channel
        self._ended = asyncio.Event()
        self._adoptions: set[asyncio.Task[None]] = set()

    async def serve(self, channel: Channel, giving_end: socket.socket) -> bool:
        """True when the control process has ended it; raises PickerError when its port cannot be had."""
        self._channel = channel
        parts, loop = self._parts, asyncio.get_running_loop()
        if self._begin.port is not None:
            options = self._options
            await bind("grpc-port", options.bind_address, self._begin.port, parts.transport.start)
        else:
            loop.add_reader(giving_end.fileno(), self._adopt, giving_end)
        settle_memory()
        channel.send(Serving(0 if self._begin.port is None else parts.transport.port))
        tasks = [asyncio.ensure_future(work) for work in (self._tell_regularly(), parts.precise.run())]
        try:
            return await self._obey()
        finally:
            loop.remove_reader(giving_end.fileno())
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await parts.transport.drain(0.0)
            parts.routing.stop()
            await parts.precise.close()
            self._tell(0)
            await channel.flush()
            channel.close()

    async def _obey(self) -> bool:
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Drain):
                self._parts.routing.drain()
                await self._parts.transport.drain(message.grace_s)
                return True
            self._hear(message)
        self._logger.error("the control process is gone")
        return False

    def _hear(self, message: Message) -> None:
        match message:
            case Table():
                self._take_table(message.table)
            case Scraped():
                for note in message.notes:
                    self._roster.report_arrived(note.slot, note.generation, note.report)
                self._parts.routing.changed()
            case Learned():
                self._exchange.heard(message.notes)
            case Reached() | Failing():
                self._note_reachability(message)
            case Ready():
                self._readiness.set(ready=message.is_ready)
            case Configure():
                self._channel.send(Configured(message.number, self._configure(message.text)))
            case Ask():
                self._tell(message.number)
            case AskDecisions():
                self._tell_decisions(message)
            case SendGuestsHome():
                if isinstance(self._parts.transport, NativeTransport):
                    self._parts.transport.send_guests_home()

    def _note_reachability(self, message: Reached | Failing) -> None:
        if isinstance(message, Failing):
            self._cooldowns.begin_with(message.cooldowns)
        else:
            self._cooldowns.heard(message.key, self._clock(), failed=message.failed)

    def _take_table(self, table: PoolTable) -> None:
        self._roster.table_arrived(table)
        self._parts.sink.known_names(configured_names(table.state))
        self._parts.precise.set_endpoints(table.state.endpoints)
        self._parts.routing.changed()
        self._channel.send(TableTaken(table.version))

    def _configure(self, text: bytes | None) -> str:
        try:
            config = with_fixed_parts(config_of(self._options, text), self._parts.config)
            self._parts.take_over(config)
        except PickerError as error:
            return str(error)
        self._exchange_prefixes()
        return ""

    def _exchange_prefixes(self) -> None:
        if self._begin.pickers > 1:
            self._exchange.follow(self._parts.policy)

    def _adopt(self, giving_end: socket.socket) -> None:
        taken = handover.take(giving_end)
        transport = self._parts.transport
        if taken is None or not isinstance(transport, NativeTransport):
            return
        connection, is_guest = taken
        adoption = asyncio.ensure_future(
            transport.adopt(connection, is_guest=is_guest, closed=lambda: self._channel.send(ConnectionClosed()))
        )
        self._adoptions.add(adoption)
        adoption.add_done_callback(self._adoptions.discard)

    def _tell_prefixes_soon(self) -> None:
        asyncio.get_running_loop().call_later(EVERY_S, self._tell_prefixes)

    def _tell_prefixes(self) -> None:
        self._channel.offer(Learned(self._exchange.taken()))

    async def _tell_regularly(self) -> None:
        spare = SpareMemory()
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            self._tell(0)
            spare.look(is_idle=not self._roster.ledger.open_count)

    def _tell(self, asked: int) -> None:
        parts = self._parts
        state, ledger, usage = parts.state, self._roster.ledger, resource.getrusage(resource.RUSAGE_SELF)
        parts.sink.forget_vanished(self._roster.current.endpoints, self._clock())
        pool = self._roster.current.pool
        flow: list[tuple[Family, list[Series]]] = list(parts.flow.read(pool.name if pool else ""))
        counted = [(family, list(source())) for family, source in parts.sink.bindings()]
        self._channel.send(
            Told(
                asked=asked,
                counts=written_counts(parts.sink.totals(), (*counted, *flow)),
                streams_open=state.streams_open,
                buffered_bytes=state.buffered_bytes,
                index_blocks=state.index_blocks,
                reservations_open=ledger.open_count,
                further_reservations_open=ledger.open_further_count,
                cpu_s=usage.ru_utime + usage.ru_stime,
                resident_bytes=_resident_bytes(),
            )
        )

    def _tell_decisions(self, asked: AskDecisions) -> None:
        work = self._parts.decisions.prepare(limit=asked.limit, request_id=asked.request_id, model=asked.model)
        self._channel.send(Decisions(asked.number, msgspec.json.encode(work())))


def share_of(options: ServeOptions, begin: Begin) -> ServeOptions:
    """Of what all pickers together may hold, the part of one, and its own port."""
    share = max(options.max_buffered_bytes // begin.pickers, 1)
    return msgspec.structs.replace(options, max_buffered_bytes=share, grpc_port=begin.port or 0)


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as pages:  # noqa: PTH123  once a second
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
