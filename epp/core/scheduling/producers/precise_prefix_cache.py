"""precise-prefix-cache-producer: how much of the prompt each endpoint has cached, as its engine's events say.

The prompt's token ids are cut into blocks of the engine's size; the match of an endpoint is the number of blocks from
the beginning on that it holds without a gap, a block on a slower medium counting less. Adapter, cache_salt and
multimodal items are part of every block. Not guessed:
- without token ids (nobody could tell them in time), without any events, or for a model that is neither an adapter
  that an engine has stored blocks of nor a base model that a topic names, an approximate index of its own decides;
- an endpoint whose cache is not completely known, because its events were not followed from an empty cache on, counts
  the larger of what is known and what the approximate index says.
Source: precise-prefix-cache-producer of the reference, with hashes of the picker's own instead of the engine's.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from epp.core.config.durations import Seconds
from epp.core.config.parameters import Port, Text
from epp.core.config.structure import Section
from epp.core.domain.decision import Reservation
from epp.core.domain.request import InferenceRequest
from epp.core.kvevents import Event
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer, PrefixMatch
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.state.block_hashes import Chain
from epp.core.state.precise_index import DEFAULT_WEIGHTS, MOST_NAMES, PreciseIndex
from epp.core.state.speculative_blocks import SpeculativeBlocks
from epp.core.state.token_blocks import TokenPrompt, chain_keys, prompt_extras, root_key


class PodDiscoveryParameters(Section, frozen=True):
    """Ports of the publishers; each is raised by the rank of the endpoint."""

    pod_label_selector: str = ""
    pod_namespace: str = ""
    socket_port: Port = 5557
    replay_socket_port: Port | None = None
    """None: lost events cannot be asked for again"""


class KvEventsParameters(Section, frozen=True):
    """Where the events come from."""

    zmq_endpoint: str = ""
    topic_filter: str = "kv@"
    concurrency: int = 4
    engine_type: Literal["vllm", "sglang"] = "vllm"
    discover_pods: bool = True
    pod_discovery_config: PodDiscoveryParameters = PodDiscoveryParameters()


class KvCacheBackendParameters(Section, frozen=True):
    """What a block on a medium is worth."""

    name: Text
    weight: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0


class IndexerParameters(Section, frozen=True):
    """The index."""

    kv_cache_backend_configs: tuple[KvCacheBackendParameters, ...] = tuple(
        KvCacheBackendParameters(name, weight) for name, weight in DEFAULT_WEIGHTS.items()
    )
    kv_block_index_config: Mapping[str, Any] = {}
    prefix_store_config: Mapping[str, Any] = {}
    token_processor_config: Mapping[str, Any] = {}
    tokenizers_pool_config: Mapping[str, Any] = {}


class PrecisePrefixCacheParameters(Section, frozen=True):
    """Parameters of the reference, and the name of the token-producer."""

    indexer_config: IndexerParameters = IndexerParameters()
    kv_events_config: KvEventsParameters = KvEventsParameters()
    token_processor_config: Mapping[str, Any] = {}
    speculative_indexing: bool = False
    """count a prompt as cached where it was just sent, until the events come"""
    speculative_ttl: Seconds = msgspec.field(default=Seconds(2.0), name="speculativeTTL")
    token_producer_name: str = ""
    """filled in when the configuration is loaded"""


INERT_FIELDS = {
    "zmqEndpoint": "the pods of the pool are subscribed to, each at its own port",
    "concurrency": "every pod has a subscription of its own",
    "engineType": "events of both engines are read alike",
    "discoverPods": "the endpoints of the pool are those that are subscribed to",
    "podLabelSelector": "the endpoints of the pool are those that are subscribed to",
    "podNamespace": "the endpoints of the pool are those that are subscribed to",
    "kvBlockIndexConfig": "the index is in memory, and its bound per endpoint is fixed",
    "tokenProcessorConfig": "block sizes come with the events, and the hashes are the picker's own",
    "prefixStoreConfig": "the token-producer keeps what it was told",
    "tokenizersPoolConfig": "see token-producer",
}


class PrecisePrefixCacheProducer:
    """Produces a PrefixMatch; takes the events of the engines by slot."""

    def __init__(self, name: str, parameters: PrecisePrefixCacheParameters) -> None:
        self.parameters = parameters
        self._name = name
        backends = parameters.indexer_config.kv_cache_backend_configs
        self._index = PreciseIndex({backend.name.lower(): backend.weight for backend in backends})
        self.approximate = ApproxPrefixCacheProducer(name, ApproxPrefixCacheParameters())
        """for prompts and endpoints of which no events tell"""
        self._speculative = SpeculativeBlocks(parameters.speculative_ttl) if parameters.speculative_indexing else None
        self._base_models: set[str] = set()

    @property
    def index_blocks(self) -> int:
        """Size of the index in (endpoint, block) pairs, without the approximate one."""
        return self._index.block_count

    @property
    def wants_tokens(self) -> bool:
        """Whether token ids would be of use: some engine has published blocks."""
        return bool(self._index.block_sizes)

    def events_arrived(self, slot: int, events: Sequence[Event], base_model: str) -> None:
        """What the engine of the slot did; `base_model` is the served name that its topic says, empty for none."""
        if base_model and len(self._base_models) < MOST_NAMES:
            self._base_models.add(base_model)
        for event in events:
            self._index.apply(slot, event)

    def events_lost(self, slot: int) -> None:
        """Nothing is known of the slot's cache any more."""
        self._index.clear(slot)

    def events_complete(self, slot: int) -> None:
        """From now on nothing of the slot's cache is unknown."""
        self._index.set_complete(slot)

    def is_complete(self, slot: int) -> bool:
        """Whether the slot's cache is known completely."""
        return self._index.is_complete(slot)

    def produce(self, cycle: Cycle, candidates: Candidates) -> PrefixMatch:
        """See the module."""
        prompt = self._prompt(cycle.request)
        sizes = self._index.block_sizes
        if prompt is None or not sizes:
            return self.approximate.produce(cycle, candidates)
        block_tokens = max(sizes, key=lambda size: sizes[size].bit_count())
        by_slot = self._index.match(prompt, block_tokens)
        for other in sizes:
            if other != block_tokens:
                matched = self._index.match(prompt, other)
                by_slot.update({slot: blocks * other / block_tokens for slot, blocks in matched.items()})
        chain: Chain = ()
        if self._speculative is not None:
            chain = _chain(prompt, block_tokens)
            _raise(by_slot, self._speculative.match(chain, cycle.now), 1.0)
        total = prompt.block_count(block_tokens)
        approximate = self._fill_in(cycle, candidates, by_slot, total)
        return PrefixMatch(chain, block_tokens, by_slot, total, is_precise=True, approximate=approximate)

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        """The approximate index learns every prompt: the next one may come without token ids."""
        match: PrefixMatch = cycle.products[self._name]
        if match.is_precise:
            if self._speculative is not None:
                self._speculative.insert(reservation.slot, match.chain, cycle.now)
            match = match.approximate or self.approximate.produce(cycle, Candidates(cycle.snapshot))
        self.approximate.remember(cycle, reservation, match)

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner with an empty cache."""
        self._index.clear(slot)
        self.approximate.forget_slot(slot)
        if self._speculative is not None:
            self._speculative.forget(slot)

    def _prompt(self, request: InferenceRequest) -> TokenPrompt | None:
        """The prompt as the engines know it; None where that is not known."""
        token_ids, model = request.token_ids, request.target_model
        if token_ids is None:
            return None
        if self._index.knows_adapter(model):
            adapter = model
        elif not self._base_models or model in self._base_models or not model:
            adapter = ""
        else:
            return None
        return TokenPrompt(token_ids, adapter, request.cache_salt, request.multimodal)

    def _fill_in(
        self, cycle: Cycle, candidates: Candidates, by_slot: dict[int, float], total: int
    ) -> PrefixMatch | None:
        """Asks the approximate index about the endpoints whose caches are not completely known."""
        unknown = [slot for slot in candidates.slots.tolist() if not self._index.is_complete(slot)]
        if not unknown:
            return None
        found = self.approximate.produce(cycle, candidates)
        shares = {slot: found.by_slot[slot] for slot in unknown if slot in found.by_slot}
        _raise(by_slot, shares, total / max(1, found.total_blocks))
        return found


def _chain(prompt: TokenPrompt, block_tokens: int) -> Chain:
    root = root_key(prompt.adapter, block_tokens)
    return chain_keys(root, prompt.token_ids, block_tokens, prompt_extras(prompt, block_tokens))


def _raise(by_slot: dict[int, float], found: Mapping[int, float], factor: float) -> None:
    """Takes `found`, times the factor, where it is more."""
    for slot, blocks in found.items():
        by_slot[slot] = max(by_slot.get(slot, 0.0), blocks * factor)
