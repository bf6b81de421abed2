"""Joins precise-prefix-cache-producers to the outside: the engines' events by slot, and token ids before decisions."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from epp.core.config.parameters import TokenProducerParameters
from epp.core.config.settings import PickerConfig, parameters_as
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Clock, TokenSource
from epp.core.kvevents import Event
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheProducer
from epp.core.scheduling.scheduler import Policy
from epp.core.state.pool_state import PoolState
from epp.edge.tokens.http_tellers import PodTokenizer, RenderService, Teller
from epp.edge.tokens.local_tokenizer import LocalTokenizer
from epp.edge.tokens.service import TokenService

if TYPE_CHECKING:
    from epp.edge.kvevents.subscriber import KvEventSubscriber


class SlotEvents:
    """KvEventSink: from endpoints to slots; what comes of an endpoint that has left is dropped."""

    def __init__(self, producer: PrecisePrefixCacheProducer, roster: PoolState) -> None:
        self._producer = producer
        self._roster = roster

    def events_arrived(self, endpoint: Endpoint, events: Sequence[Event], base_model: str) -> None:
        """See KvEventSink."""
        slot = self._roster.slot_of(endpoint)
        if slot is not None:
            self._producer.events_arrived(slot, events, base_model)

    def events_lost(self, endpoint: Endpoint) -> None:
        """See KvEventSink."""
        slot = self._roster.slot_of(endpoint)
        if slot is not None:
            self._producer.events_lost(slot)

    def events_complete(self, endpoint: Endpoint) -> None:
        """See KvEventSink."""
        slot = self._roster.slot_of(endpoint)
        if slot is not None:
            self._producer.events_complete(slot)


class PrecisePrefix:
    """Nothing at all where the policy has no precise producer."""

    def __init__(
        self,
        policy: Policy,
        config: PickerConfig,
        roster: PoolState,
        *,
        on_event_problem: Callable[[Endpoint, str], None],
        on_token_problem: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Raises InvalidInput when the tokenizer of the configuration cannot be had."""
        producers = [each.plugin for each in policy.producers if isinstance(each.plugin, PrecisePrefixCacheProducer)]
        self._subscribers = [_subscriber(producer, roster, on_event_problem, clock) for producer in producers]
        self._producers = producers
        self._token_settings: TokenProducerParameters | None = None
        self._pods: PodTokenizer | None = None
        self._tokens: TokenService | None = None
        if producers:
            settings = config.plugin(producers[0].parameters.token_producer_name)
            self._token_settings = parameters = parameters_as(TokenProducerParameters, settings)
            self._tokens = TokenService(
                self._teller(parameters, clock),
                is_useful=lambda: any(producer.wants_tokens for producer in producers),
                on_problem=on_token_problem,
                most_at_once=parameters.max_concurrent,
                cache_bytes=parameters.cache_bytes,
            )

    @property
    def tokens(self) -> TokenSource | None:
        """Who tells token ids; None where nobody has a use for them."""
        return self._tokens

    def check_unchanged(self, policy: Policy, config: PickerConfig) -> None:
        """Raises InvalidInput for a policy that wants other events or tokens than were arranged for at the start."""
        for named in policy.producers:
            producer = named.plugin
            if not isinstance(producer, PrecisePrefixCacheProducer):
                continue
            settings = config.plugin(producer.parameters.token_producer_name)
            if producer not in self._producers or settings.parameters != self._token_settings:
                problem = f"{named.name} and its token-producer are set up at the start; restart to change them"
                raise InvalidInput(config.source, problem)

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """The pool."""
        for subscriber in self._subscribers:
            subscriber.set_endpoints(endpoints)
        if self._pods is not None:
            self._pods.set_endpoints(endpoints)

    async def run(self) -> None:
        """Follows the events until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for subscriber in self._subscribers:
                group.create_task(subscriber.run())

    async def close(self) -> None:
        """Gives connections up."""
        if self._tokens is not None:
            await self._tokens.close()

    def _teller(self, parameters: TokenProducerParameters, clock: Clock) -> Teller:
        if parameters.local is not None:
            return LocalTokenizer(parameters.local.path, parameters.local.timeout)
        if parameters.vllm is not None:
            return RenderService(
                parameters.vllm.url,
                timeout_s=parameters.vllm.timeout,
                multimodal_timeout_s=parameters.vllm.mm_timeout,
                model=parameters.model_name,
                clock=clock,
                most_connections=parameters.max_concurrent,
            )
        self._pods = PodTokenizer(
            parameters.pods.path,
            timeout_s=parameters.pods.timeout,
            model=parameters.model_name,
            clock=clock,
            most_connections=parameters.max_concurrent,
        )
        return self._pods


def _subscriber(
    producer: PrecisePrefixCacheProducer, roster: PoolState, on_problem: Callable[[Endpoint, str], None], clock: Clock
) -> "KvEventSubscriber":
    # ZeroMQ is for those who have such a producer.
    from epp.edge.kvevents.subscriber import KvEventSubscriber  # noqa: PLC0415
    from epp.edge.kvevents.subscription import EventSettings  # noqa: PLC0415

    events = producer.parameters.kv_events_config
    ports = events.pod_discovery_config
    settings = EventSettings(ports.socket_port, ports.replay_socket_port, events.topic_filter)
    return KvEventSubscriber(SlotEvents(producer, roster), settings, on_problem=on_problem, clock=clock)
