"""What a process that answers requests has: policy, books, routing and the ext_proc server, joined."""

from collections.abc import Callable
from random import Random

import msgspec

from epp.app.conversations import services_of
from epp.app.options import ServeOptions
from epp.app.precise_prefix import PrecisePrefix
from epp.app.request_side import ServingState
from epp.app.routing import Routing
from epp.app.transports import ext_proc_transport
from epp.core.config.settings import PickerConfig
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.session_token import SessionKey
from epp.core.state.ledger import InFlightLedger
from epp.core.state.pool_state import PoolState
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.executor import StreamExecutor
from epp.edge.extproc.health import Readiness, health_methods
from epp.edge.extproc.services import Services
from epp.edge.extproc.transport import PROCESS, HandlerFactory, Transport
from epp.edge.observe.decisions import DecisionLog
from epp.edge.observe.ended_connections import EndedConnections
from epp.edge.observe.families import Dialect
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.logs import Logger
from epp.edge.observe.repeated import RepeatedProblems
from epp.edge.observe.sink import PrometheusSink
from epp.edge.observe.tee import TeeSink


class Surroundings(msgspec.Struct, frozen=True):
    """What every part of a process is given."""

    logger: Logger
    problems: RepeatedProblems
    clock: Clock
    wall_clock: Clock
    """seconds since 1970"""


class Answering:
    """The parts, for `OwnRequests` and for a picker process."""

    def __init__(
        self,
        options: ServeOptions,
        config: PickerConfig,
        around: Surroundings,
        *,
        key: SessionKey,
        ledger: InFlightLedger,
        pool_of: Callable[[Scheduler], PoolState],
        readiness: Readiness,
    ) -> None:
        """`pool_of` makes what is known of the pool, which tells the scheduler of scrapes and of slots."""
        self._options = options
        self._around = around
        self._key = key
        self.config = config
        self.policy = build_policy(config, key)
        self.scheduler = Scheduler(self.policy, ledger, Random(), around.clock, around.problems.fault)
        self.pool = pool_of(self.scheduler)
        self.sink = PrometheusSink(Dialect(options.metric_names))
        self.decisions = DecisionLog(around.wall_clock)
        self.flow = FlowSeries()
        self.budget = BodyBudget(options.max_buffered_bytes)
        self.routing = Routing(
            options, config, self.pool, self.scheduler, clock=around.clock, problems=around.problems, series=self.flow
        )
        self.precise = PrecisePrefix(
            self.policy,
            config,
            self.pool,
            on_event_problem=self._event_problem,
            on_token_problem=self._token_problem,
            clock=around.clock,
        )
        self._metrics = TeeSink(self.sink, self.decisions)
        self.services = self._make_services()
        self.transport = self._make_transport(readiness)

    @property
    def state(self) -> ServingState:
        """See RequestSide."""
        kinds = (ApproxPrefixCacheProducer, PrecisePrefixCacheProducer)
        indexes = [named.plugin for named in self.policy.producers if isinstance(named.plugin, kinds)]
        return ServingState(
            streams_open=self.transport.open_streams,
            buffered_bytes=self.budget.held_bytes,
            index_blocks=sum(plugin.index_blocks for plugin in indexes),
        )

    def checked(self, config: PickerConfig) -> Policy:
        """The policy of another configuration; raises PickerError for one that needs a new start."""
        policy = build_policy(config, self._key, former=self.policy)
        self.precise.check_unchanged(policy, config)
        return policy

    def take_over(self, config: PickerConfig) -> None:
        """Puts another configuration in force for every request that is not decided yet; raises PickerError.

        A plugin that is configured as before goes on with what it has learned.
        """
        self.policy = self.checked(config)
        self.scheduler.swap(self.policy)
        self.routing.take_over(self._options, config)
        self.config = config
        self.services = self._make_services()

    def _make_services(self) -> Services:
        return services_of(
            self._options,
            self.config,
            self.routing,
            metrics=self._metrics,
            faults=self._around.problems,
            clock=self._around.clock,
            budget=self.budget,
            tokens=self.precise.tokens,
        )

    def _make_transport(self, readiness: Readiness) -> Transport:
        methods: dict[str, HandlerFactory] = {PROCESS: lambda stream: StreamExecutor(self.services, stream)}
        if self._options.health_on_grpc_port:
            methods |= health_methods(readiness)
        around = self._around
        return ext_proc_transport(
            self._options,
            methods,
            around.problems,
            around.clock,
            around.logger,
            on_ended=EndedConnections("grpc-port", self.sink, around.problems),
        )

    def _event_problem(self, endpoint: Endpoint, problem: str) -> None:
        self._around.problems.warning(
            f"events {endpoint.key}", "KV-cache events", endpoint=endpoint.key, problem=problem
        )

    def _token_problem(self, problem: str) -> None:
        self._around.problems.warning("tokens", "no token ids, the approximate prefix index decides", problem=problem)
