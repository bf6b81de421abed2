"""Composition of `epp serve`: objects, scraping, pages and health in this process, and whoever answers requests."""

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from epp.app.answering import Surroundings
from epp.app.certificates import metrics_tls
from epp.app.config_watch import ConfigWatch
from epp.app.configuration import config_from_file, dialects, page_options, page_tls, parser_table, session_key
from epp.app.flags import EVERY_ADDRESS
from epp.app.listening import bind
from epp.app.membership import Membership
from epp.app.object_source import ObjectsFrom, ObjectSource, objects_from, open_files, waiting_for
from epp.app.options import ServeOptions
from epp.app.own_requests import OwnRequests
from epp.app.picker_pages import PickerPages, Shown
from epp.app.picker_processes import PickerProcesses
from epp.app.protocol_fit import protocol_mismatch
from epp.app.request_side import RequestSide
from epp.app.routing import scrape_interval_s
from epp.app.scrape_results import ScrapeResults, attention
from epp.app.settled_memory import SpareMemory
from epp.app.several_pickers import check_config
from epp.app.transports import health_transport
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Clock
from epp.edge.admin.gates import gate_for
from epp.edge.admin.server import AdminServer
from epp.edge.extproc.health import Readiness, health_methods
from epp.edge.gateway.eds import EdsFile
from epp.edge.objects.findings import Notice
from epp.edge.observe.ended_connections import EndedConnections
from epp.edge.observe.families import Dialect
from epp.edge.observe.logs import get_logger
from epp.edge.observe.repeated import RepeatedProblems
from epp.edge.scrape.metrics_page import MetricsPage
from epp.edge.scrape.period import ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem

if TYPE_CHECKING:
    from epp.app.cluster import Cluster

TIDY_EVERY_S = 1.0
"""removed endpoints leave Envoy's file then, and what could not be written is tried again"""
MOST_PROBLEMS_NAMED = 3
LOOPBACK = "127.0.0.1"
NOBODY_SERVES = "no picker process takes requests yet"


class BoundPorts(msgspec.Struct, frozen=True):
    """Where the picker listens."""

    grpc_port: int
    health_port: int
    metrics_port: int
    picker_ports: tuple[int, ...] = ()
    """where each picker process has a port of its own"""


class PickerProcess:
    """`start`, then `run` until cancelled, then `drain` and `stop`."""

    def __init__(self, options: ServeOptions, config: PickerConfig, text: bytes | None = None) -> None:
        """`text` is that of the configuration, None for a built-in one."""
        self._options = options
        self._config = config
        self._read_text = text or b""
        """what the watched file said last"""
        self._logger = get_logger("serve")
        clock = time.monotonic
        self._problems = RepeatedProblems(self._logger, clock)
        self._readiness = Readiness()
        around = Surroundings(self._logger, self._problems, clock, time.time)
        key = session_key(options)
        self._requests: RequestSide
        if options.workers:
            self._requests = PickerProcesses(
                options,
                config,
                text,
                around,
                key,
                on_serving=self._note_readiness,
                on_refused=self._config_refused,
            )
        else:
            self._requests = OwnRequests(options, config, around, key, self._readiness)
        self._roster = self._requests.roster
        self._health = health_transport(
            options,
            health_methods(self._readiness),
            self._problems,
            on_ended=EndedConnections("grpc-health-port", self._requests.sink, self._problems),
        )
        self._poller = self._make_poller(config)
        self._eds = EdsFile(options.envoy_eds) if options.envoy_eds else None
        self._membership = Membership(
            roster=self._roster,
            poller=self._poller,
            followers=self._requests.followers,
            eds=self._eds,
            sink=self._requests.sink,
            logger=self._logger,
            on_change=self._objects_changed,
            call_later=lambda delay_s, step: asyncio.get_running_loop().call_later(delay_s, step),
        )
        self._cluster = self._open_cluster(clock)
        self._source: ObjectSource = self._cluster.source if self._cluster else self._open_files()
        self._pages = self._make_pages(clock)
        self._admin = self._make_admin(clock)
        self._config_watch = self._watch_config()

    @property
    def ports(self) -> BoundPorts:
        """Known after `start`."""
        ports = self._requests.ports
        return BoundPorts(ports[0], self._health.port, self._admin.port, ports if self._options.worker_ports else ())

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
        await self._requests.start()
        self._note_readiness()

    async def run(self) -> None:
        """Background work; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cluster.run() if self._cluster else self._source.run())
            if self._poller is not None:
                group.create_task(self._poller.run())
            if self._config_watch is not None:
                group.create_task(self._config_watch.run())
            group.create_task(self._requests.run())
            group.create_task(self._pages.check_regularly())
            group.create_task(self._tidy_regularly())

    async def drain(self, interrupted: asyncio.Event) -> None:
        """Not ready, but serving, until the drain time-out or `interrupted`; then streams come to an end."""
        self._readiness.stop()
        self._requests.set_ready(is_ready=False)
        resigning = asyncio.ensure_future(self._cluster.resign()) if self._cluster else None
        await self._requests.drain(interrupted, self._options.drain_timeout_s)
        if resigning is not None:
            await resigning

    async def stop(self) -> None:
        """Closes what is left, whether or not everything was started."""
        await self._requests.stop()
        await self._admin.stop()
        await self._health.drain(0.0)
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
        spare = SpareMemory()
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            self._membership.tidy()
            spare.look(is_idle=not self._roster.counts.open_count)

    def _make_poller(self, config: PickerConfig) -> Poller | None:
        if config.metrics is None:
            return None
        pages, tls = page_options(self._options, config), page_tls(config)
        engines = dialects(self._options, config)
        interval_s = scrape_interval_s(self._options, config)
        return Poller(
            ScrapeResults(self._roster, self._requests.sink, self._requests.load_changed),
            lambda endpoint: MetricsPage(endpoint, pages, tls),
            engines.reader_of,
            attention=partial(attention, self._roster),
            on_problem=self._scrape_problem,
            budget=ScrapeBudget(floor_s=interval_s, cores=self._options.scrape_cpu_budget),
        )

    def _make_pages(self, clock: Clock) -> PickerPages:
        cluster = self._cluster
        shown = Shown(
            roster=self._roster,
            requests=self._requests,
            config=lambda: self._config,
            unready_reason=lambda: None if self._readiness.is_ready else self._unready_reason(),
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
            on_unusable=lambda problem: self._logger.warning(
                "the token file became unusable; its last token holds", problem=str(problem)
            ),
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
            load=self._load_config,
            take_over=self._take_over,
            logger=self._logger,
        )

    def _load_config(self, text: bytes) -> PickerConfig:
        self._read_text = text
        return config_from_file(self._options, text)

    def _take_over(self, config: PickerConfig) -> None:
        """Puts another configuration in force for every request that is not decided yet; raises PickerError."""
        check_config(config, self._options.workers)
        self._requests.take_over(config, self._read_text)
        self._config = config
        self._note_readiness()

    def _config_refused(self, former: PickerConfig, problem: str) -> None:
        """A picker process could not take the configuration that was thought to be in force."""
        self._config = former
        if self._config_watch is not None:
            self._config_watch.withdraw(former, problem)
        self._note_readiness()

    def _objects_changed(self) -> None:
        self._requests.pool_changed()
        self._note_readiness()

    def _note_readiness(self) -> None:
        pool = self._roster.current.pool
        if problem := protocol_mismatch(pool, parser_table(self._config)):
            self._problems.warning("appProtocol", "not ready", problem=problem)
        is_ready = pool is not None and not problem and not self._standby and self._requests.is_serving
        self._readiness.set(ready=is_ready)
        self._requests.set_ready(is_ready=is_ready)

    def _unready_reason(self) -> str:
        if self._readiness.is_stopping:
            return "shutting down"
        if self._roster.current.pool is not None:
            problem = protocol_mismatch(self._roster.current.pool, parser_table(self._config))
            return problem or self._standby or NOBODY_SERVES
        problems = [self._membership.problem, *map(str, self._source.problems)]
        return "; ".join(filter(None, (waiting_for(self._options, self._config), *problems[:MOST_PROBLEMS_NAMED])))

    def _count_problems(self) -> int:
        config_problem = self._config_watch is not None and bool(self._config_watch.problem)
        return len(self._source.problems) + bool(self._membership.problem) + config_problem

    def _scrape_problem(self, problem: ScrapeProblem) -> None:
        self._problems.warning(f"scrape {problem.endpoint.key}", "no metrics", problem=str(problem))

    def _object_notice(self, notice: Notice) -> None:
        self._logger.info("object", notice=str(notice))

    def _object_problem(self, problem: InvalidInput) -> None:
        self._logger.warning("object not taken over", problem=str(problem))
