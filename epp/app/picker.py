"""Composition of one picker process: everything that `epp serve` runs, joined."""

import asyncio
import time
from random import Random
from typing import TYPE_CHECKING

import msgspec

from epp.app.certificates import metrics_tls
from epp.app.config_watch import ConfigWatch
from epp.app.configuration import config_from_file, dialects, page_options, page_tls, session_key
from epp.app.conversations import services_of
from epp.app.flags import EVERY_ADDRESS
from epp.app.listening import bind
from epp.app.membership import Membership
from epp.app.object_source import ObjectsFrom, ObjectSource, objects_from, open_files, waiting_for
from epp.app.options import ServeOptions
from epp.app.picker_pages import PickerPages, Shown
from epp.app.precise_prefix import PrecisePrefix
from epp.app.protocol_fit import protocol_mismatch
from epp.app.routing import Routing, scrape_interval_s
from epp.app.scrape_results import ScrapeResults
from epp.app.transports import ext_proc_transport, health_transport
from epp.core.config.settings import PickerConfig
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Clock
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.admin.gates import gate_for
from epp.edge.admin.server import AdminServer
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.executor import StreamExecutor
from epp.edge.extproc.health import Readiness, health_methods
from epp.edge.extproc.services import Services
from epp.edge.extproc.transport import PROCESS, HandlerFactory, Transport
from epp.edge.gateway.eds import EdsFile
from epp.edge.objects.findings import Notice
from epp.edge.observe.decisions import DecisionLog
from epp.edge.observe.families import Dialect
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.logs import get_logger
from epp.edge.observe.repeated import RepeatedProblems
from epp.edge.observe.sink import PrometheusSink
from epp.edge.observe.tee import TeeSink
from epp.edge.scrape.metrics_page import MetricsPage
from epp.edge.scrape.period import ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem

if TYPE_CHECKING:
    from epp.app.cluster import Cluster

TIDY_EVERY_S = 1.0
"""removed endpoints leave Envoy's file then, and what could not be written is tried again"""
MOST_PROBLEMS_NAMED = 3
LOOPBACK = "127.0.0.1"
FINISH_GRACE_S = 2.0
"""after the drain time-out: how long streams may take to end by themselves"""


class BoundPorts(msgspec.Struct, frozen=True):
    """Where the picker listens."""

    grpc_port: int
    health_port: int
    metrics_port: int


class PickerProcess:
    """`start`, then `run` until cancelled, then `drain` and `stop`."""

    def __init__(self, options: ServeOptions, config: PickerConfig) -> None:
        self._options = options
        self._config = config
        self._logger = get_logger("serve")
        clock = time.monotonic
        self._problems = RepeatedProblems(self._logger, clock)
        self._session_key = session_key(options)
        self._policy = build_policy(config, self._session_key)
        self._ledger = InFlightLedger()
        self._scheduler = scheduler = Scheduler(self._policy, self._ledger, Random(), clock, self._problems.fault)
        self._roster = Roster(
            self._ledger,
            clock,
            metrics_stale_after_s=options.metrics_stale_after_s,
            slot_renewed=scheduler.forget_slot,
            load_noted=scheduler.load_noted,
            attributes=config.metrics.custom_attributes if config.metrics else (),
        )
        self._sink = PrometheusSink(Dialect(options.metric_names))
        self._decisions = DecisionLog(time.time)
        self._budget = BodyBudget(options.max_buffered_bytes)
        self._readiness = Readiness()
        self._flow = FlowSeries()
        self._routing = Routing(
            options, config, self._roster, scheduler, clock=clock, problems=self._problems, series=self._flow
        )
        self._precise = PrecisePrefix(
            self._policy,
            config,
            self._roster,
            on_event_problem=self._event_problem,
            on_token_problem=self._token_problem,
            clock=clock,
        )
        self._signals = TeeSink(self._sink, self._decisions)
        self._services = self._make_services()
        self._transport = self._make_transport(clock)
        self._health = health_transport(options, health_methods(self._readiness), self._problems)
        self._poller = self._make_poller(config)
        self._eds = EdsFile(options.envoy_eds) if options.envoy_eds else None
        self._membership = Membership(
            roster=self._roster,
            poller=self._poller,
            followers=(self._precise,),
            eds=self._eds,
            sink=self._sink,
            logger=self._logger,
            on_change=self._objects_changed,
        )
        self._cluster = self._open_cluster(clock)
        self._source: ObjectSource = self._cluster.source if self._cluster else self._open_files()
        self._pages = self._make_pages(clock)
        self._admin = self._make_admin(clock)
        self._config_watch = self._watch_config()

    @property
    def ports(self) -> BoundPorts:
        """Known after `start`."""
        return BoundPorts(self._transport.port, self._health.port, self._admin.port)

    async def start(self) -> None:
        """Reads the objects once and binds every port; raises PickerError when something cannot be had."""
        if self._eds is not None:
            self._eds.make()
        self._source.poll_once()
        if self._cluster is not None:
            await self._cluster.start()
        options = self._options
        await bind("grpc-health-port", options.bind_address, options.grpc_health_port, self._health.start)
        await bind("metrics-port", self._metrics_address, options.metrics_port, self._admin.start)
        await bind("grpc-port", options.bind_address, options.grpc_port, self._transport.start)
        self._note_readiness()

    async def run(self) -> None:
        """Background work; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cluster.run() if self._cluster else self._source.run())
            if self._poller is not None:
                group.create_task(self._poller.run())
            if self._config_watch is not None:
                group.create_task(self._config_watch.run())
            group.create_task(self._precise.run())
            group.create_task(self._pages.check_regularly())
            group.create_task(self._tidy_regularly())

    async def drain(self, interrupted: asyncio.Event) -> None:
        """Not ready, but serving, until the drain time-out or `interrupted`; then streams come to an end."""
        self._readiness.stop()
        resigning = asyncio.ensure_future(self._cluster.resign()) if self._cluster else None
        try:
            await asyncio.wait_for(interrupted.wait(), self._options.drain_timeout_s)
        except TimeoutError:
            self._logger.verbose("drain time-out passed", open_streams=self._transport.open_streams)
        self._routing.drain()
        await self._transport.drain(FINISH_GRACE_S)
        if resigning is not None:
            await resigning

    async def stop(self) -> None:
        """Closes what is left, whether or not everything was started."""
        await self._transport.drain(0.0)
        self._routing.stop()
        await self._admin.stop()
        await self._health.drain(0.0)
        await self._precise.close()
        if self._cluster is not None:
            await self._cluster.close()

    @property
    def _metrics_address(self) -> str:
        """In a cluster the pages are for scrapers elsewhere, and guarded by the API server; else for this machine."""
        return self._options.metrics_bind_address or (EVERY_ADDRESS if self._cluster else LOOPBACK)

    @property
    def _standby(self) -> str:
        """Why another replica is to be asked; empty when it is this one."""
        return self._cluster.not_leading if self._cluster else ""

    def _open_cluster(self, clock: Clock) -> "Cluster | None":
        if objects_from(self._options, self._config) is not ObjectsFrom.API_SERVER:
            return None
        # The client library takes half a second and 24 MiB, for which a picker without a cluster has no use.
        from epp.app.cluster import Cluster  # noqa: PLC0415

        return Cluster(
            self._options,
            self._membership,
            on_problem=self._object_problem,
            on_notice=self._object_notice,
            on_leadership=self._note_readiness,
            logger=self._logger,
            clock=clock,
        )

    def _open_files(self) -> ObjectSource:
        return open_files(self._options, self._config, self._membership, self._object_problem, self._object_notice)

    async def _tidy_regularly(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            self._membership.tidy()

    def _make_services(self) -> Services:
        return services_of(
            self._options,
            self._config,
            self._routing,
            metrics=self._signals,
            faults=self._problems,
            clock=time.monotonic,
            budget=self._budget,
            tokens=self._precise.tokens,
        )

    def _make_transport(self, clock: Clock) -> Transport:
        methods: dict[str, HandlerFactory] = {PROCESS: lambda stream: StreamExecutor(self._services, stream)}
        if self._options.health_on_grpc_port:
            methods |= health_methods(self._readiness)
        return ext_proc_transport(self._options, methods, self._problems, clock, self._logger)

    def _make_poller(self, config: PickerConfig) -> Poller | None:
        if config.metrics is None:
            return None
        pages, tls = page_options(self._options, config), page_tls(config)
        engines = dialects(self._options, config)
        interval_s = scrape_interval_s(self._options, config)
        return Poller(
            ScrapeResults(self._roster, self._sink, self._routing.changed),
            lambda endpoint: MetricsPage(endpoint, pages, tls),
            engines.reader_of,
            is_busy=self._is_busy,
            on_problem=self._scrape_problem,
            budget=ScrapeBudget(floor_s=interval_s, cores=self._options.scrape_cpu_budget),
        )

    def _make_pages(self, clock: Clock) -> PickerPages:
        cluster = self._cluster
        shown = Shown(
            roster=self._roster,
            ledger=self._ledger,
            sink=self._sink,
            decisions=self._decisions,
            flow=self._flow,
            config=lambda: self._config,
            policy=lambda: self._policy,
            unready_reason=lambda: None if self._readiness.is_ready else self._unready_reason(),
            streams_open=lambda: self._transport.open_streams,
            buffered_bytes=lambda: self._budget.held_bytes,
            object_problems=self._count_problems,
            objects_stale_s=(lambda: cluster.source.stale_s) if cluster else None,
        )
        return PickerPages(shown, Dialect(self._options.metric_names), clock)

    def _make_admin(self, clock: Clock) -> AdminServer:
        options, cluster = self._options, self._cluster
        gate = gate_for(
            self._metrics_address,
            options.metrics_token_file,
            cluster.reviewer if cluster else None,
            is_open=cluster is not None and not options.metrics_auth,
        )
        tls = metrics_tls(options, clock, self._logger)
        return AdminServer(self._pages.pages(), gate, host=self._metrics_address, port=options.metrics_port, tls=tls)

    def _watch_config(self) -> ConfigWatch | None:
        path = self._options.config_file
        if path is None:
            return None
        return ConfigWatch(
            path,
            self._config,
            load=lambda text: config_from_file(self._options, text),
            take_over=self._take_over,
            logger=self._logger,
        )

    def _take_over(self, config: PickerConfig) -> None:
        """Puts another configuration in force for every request that is not decided yet; raises PickerError.

        A plugin that is configured as before goes on with what it has learned.
        """
        policy = build_policy(config, self._session_key, former=self._policy)
        self._precise.check_unchanged(policy, config)
        self._policy = policy
        self._scheduler.swap(self._policy)
        self._routing.take_over(self._options, config)
        self._config = config
        self._services = self._make_services()
        self._note_readiness()

    def _is_busy(self, endpoint: Endpoint) -> bool:
        slot = self._roster.slot_of(endpoint)
        return slot is not None and bool(self._ledger.requests[slot])

    def _objects_changed(self) -> None:
        self._note_readiness()
        self._routing.changed()

    def _note_readiness(self) -> None:
        pool = self._roster.current.pool
        if problem := protocol_mismatch(pool, self._services.settings.parsers):
            self._problems.warning("appProtocol", "not ready", problem=problem)
        self._readiness.set(ready=pool is not None and not problem and not self._standby)

    def _unready_reason(self) -> str:
        if self._readiness.is_stopping:
            return "shutting down"
        if self._roster.current.pool is not None:
            return protocol_mismatch(self._roster.current.pool, self._services.settings.parsers) or self._standby
        problems = [self._membership.problem, *map(str, self._source.problems)]
        return "; ".join(filter(None, (waiting_for(self._options, self._config), *problems[:MOST_PROBLEMS_NAMED])))

    def _count_problems(self) -> int:
        config_problem = self._config_watch is not None and bool(self._config_watch.problem)
        return len(self._source.problems) + bool(self._membership.problem) + config_problem

    def _scrape_problem(self, problem: ScrapeProblem) -> None:
        self._problems.warning(f"scrape {problem.endpoint.key}", "no metrics", problem=str(problem))

    def _event_problem(self, endpoint: Endpoint, problem: str) -> None:
        self._problems.warning(f"events {endpoint.key}", "KV-cache events", endpoint=endpoint.key, problem=problem)

    def _token_problem(self, problem: str) -> None:
        self._problems.warning("tokens", "no token ids, the approximate prefix index decides", problem=problem)

    def _object_notice(self, notice: Notice) -> None:
        self._logger.info("object", notice=str(notice))

    def _object_problem(self, problem: InvalidInput) -> None:
        self._logger.warning("object not taken over", problem=str(problem))
