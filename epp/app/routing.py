"""Routing of one picker process: the router, and before it flow control and the window of bursts, as configured."""

from collections.abc import Callable
from random import Random

from epp.app.flow_pump import FlowPump
from epp.app.options import ServeOptions
from epp.core.config.settings import PickerConfig
from epp.core.domain.ports import Clock
from epp.core.flow.build import flow_policy
from epp.core.flow.saturation import detector_for
from epp.core.routing.bursts import BurstRouter
from epp.core.routing.priority import PriorityPolicy
from epp.core.routing.queueing import QueueingRouter
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.producers.burst_prefix_cache import BurstPrefixCacheProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.state.pool_state import PoolState
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.repeated import RepeatedProblems

MOST_SAMPLES_PER_S = 2.0
"""of responses that are looked into, unless every one is wanted"""


class Routing:
    """`port` is what the transport asks, and may be another one after `take_over`."""

    def __init__(
        self,
        options: ServeOptions,
        config: PickerConfig,
        roster: PoolState,
        scheduler: Scheduler,
        *,
        clock: Clock,
        problems: RepeatedProblems,
        series: FlowSeries,
    ) -> None:
        policy = routing_policy(options, config)
        self._router = router = Router(roster, scheduler, policy, clock, Random())
        self._scheduler = scheduler
        self.may_rewrite = router.may_rewrite
        self._onward: Router | QueueingRouter = router
        self.needs_every_usage = False
        """whether somebody counts the tokens of all requests, and not of a sample"""
        self._queues: QueueingRouter | None = None
        self._pump: FlowPump | None = None
        if config.gates.flow_control:
            flow = flow_policy(config, scrape_interval_s(options, config))
            queues = QueueingRouter(router, roster, flow, clock, detector=policy.saturation, sink=series)
            self._pump = FlowPump(queues, clock, problems, series.cycle_done)
            queues.wake = self._pump.wake
            series.queues = queues.read
            self._onward = self._queues = queues
            self.needs_every_usage = bool(flow.service_books)
        self._bursts = BurstRouter(
            self._onward, router, roster.ledger, clock=clock, rng=Random(), note_fault=problems.fault
        )
        self._burst_pump = FlowPump(self._bursts, clock, problems, name="window of a burst")
        self._bursts.wake = self._burst_pump.wake
        self._bursts.take_over(burst_producers(scheduler.policy))

    @property
    def port(self) -> Router | QueueingRouter | BurstRouter:
        """For streams that begin from now on; the window of bursts only where the policy has a use for it."""
        return self._bursts if self._bursts.is_used else self._onward

    def take_over(self, options: ServeOptions, config: PickerConfig) -> None:
        """Another configuration with the same feature gates, whose policy the scheduler has in force already."""
        policy = routing_policy(options, config)
        self._router.take_over(policy)
        if self._queues is not None:
            flow = flow_policy(config, scrape_interval_s(options, config))
            self._queues.take_over(flow, policy.saturation)
            self.needs_every_usage = bool(flow.service_books)
        self._bursts.take_over(burst_producers(self._scheduler.policy))

    def changed(self) -> None:
        """A scrape came, or the objects changed."""
        if self._queues is not None:
            self._queues.changed()

    def drain(self) -> None:
        """Refuses everybody who waits."""
        self._bursts.drain()
        if self._queues is not None:
            self._queues.drain()

    def stop(self) -> None:
        """Nothing is let go any more."""
        self._burst_pump.stop()
        if self._pump is not None:
            self._pump.stop()


def routing_policy(options: ServeOptions, config: PickerConfig) -> RoutingPolicy:
    """What flags and configuration say about priorities, saturation and the subset hint."""
    return RoutingPolicy(
        priority=PriorityPolicy(options.body_priority, options.body_priority_min, options.body_priority_max),
        saturation=detector_for(config.saturation),
        honour_subset=options.honour_subset,
    )


def burst_producers(policy: Policy) -> tuple[BurstPrefixCacheProducer, ...]:
    """Those that some plugin of the policy consumes."""
    return tuple(named.plugin for named in policy.producers if isinstance(named.plugin, BurstPrefixCacheProducer))


def scrape_interval_s(options: ServeOptions, config: PickerConfig) -> float:
    """Seconds between two scrapes of an endpoint: the configuration's, else the flag's."""
    configured = config.metrics.source.interval if config.metrics else None
    return options.scrape_interval_s if configured is None else float(configured)


def sampler(options: ServeOptions, *, every_request: bool, clock: Clock) -> Callable[[], bool]:
    """Says for each request whether its response body is to be looked at.

    A streamed answer has a message for every token, so that looking into it takes longer than all else that is done
    for its request; a few a second say as much of the pods as many.
    """
    every = 1 if every_request else options.sample_responses
    if not every:
        return lambda: False
    if every == 1:
        return lambda: True
    asked, next_at = 0, clock()

    def wants_sample() -> bool:
        nonlocal asked, next_at
        asked += 1
        if asked < every or (now := clock()) < next_at:
            return False
        asked, next_at = 0, now + 1.0 / MOST_SAMPLES_PER_S
        return True

    return wants_sample
