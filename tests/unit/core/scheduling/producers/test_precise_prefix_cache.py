import pytest

from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.kvevents import AllBlocksCleared, BlockStored, Event
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.producers.precise_prefix_cache import (
    IndexerParameters,
    KvCacheBackendParameters,
    PrecisePrefixCacheParameters,
    PrecisePrefixCacheProducer,
)
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from epp.core.scheduling.scorers.precise_prefix_cache import (
    PrecisePrefixCacheScorer,
    PrecisePrefixCacheScorerParameters,
)
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from tests.support.kv_blocks import BLOCK_TOKENS, name, removed, stored, token_ids
from tests.support.small_pool import SmallPool, text_request

MODEL = "meta/base"


def tokens_request(letters: str, *, model: str = MODEL, **fields: object) -> InferenceRequest:
    """A text whose tokens somebody has told; 128 letters of text for each block, so that 64 bytes are no token."""
    request = text_request(letters * 128, target_model=model, model=model)
    return replaced(request, prompt_tokens=token_ids(letters), **fields)


class Story:
    """A pool of two whose engines have published from the start, unless `complete` says otherwise."""

    def __init__(
        self, parameters: PrecisePrefixCacheParameters | None = None, complete: tuple[int, ...] = (0, 1)
    ) -> None:
        self.pool = SmallPool(2)
        self.producer = PrecisePrefixCacheProducer("index", parameters or PrecisePrefixCacheParameters())
        for number in complete:
            self.producer.events_complete(self.pool.slot(number))

    def publish(self, number: int, *events: Event, model: str = MODEL) -> None:
        self.producer.events_arrived(self.pool.slot(number), events, model)

    def match(self, request: InferenceRequest) -> PrefixMatch:
        return self.producer.produce(self.pool.cycle(request), self.pool.candidates)

    def matched(self, request: InferenceRequest) -> list[float]:
        return [float(blocks) for blocks in self.match(request).matched_blocks(self.pool.candidates.slots)]

    def send(self, request: InferenceRequest, number: int) -> None:
        cycle = self.pool.cycle(request, index=self.match(request))
        self.producer.learn(cycle, self.pool.ledger.reserve(self.pool.slot(number), 1))


def test_tokens_are_matched_with_what_the_engines_have_published() -> None:
    story = Story()
    story.publish(1, stored("abc"))
    match = story.match(tokens_request("abcd"))
    assert (match.total_blocks, match.block_tokens) == (4, BLOCK_TOKENS)
    assert story.matched(tokens_request("abcd")) == [0.0, 3.0]
    assert story.producer.index_blocks == 3

    story.publish(1, removed("ab"))
    assert story.matched(tokens_request("abcd")) == [0.0, 1.0]


def test_a_prompt_of_token_ids_needs_nobody_to_tell_them() -> None:
    story = Story()
    story.publish(0, stored("ab"))
    prompt = Prompt(PromptKind.TOKEN_IDS, token_ids("ab"))
    assert story.matched(InferenceRequest("r", target_model=MODEL, prompt=prompt)) == [2.0, 0.0]


def test_being_sent_somewhere_is_not_being_cached_there() -> None:
    story = Story()
    story.publish(0, stored("x"))
    story.send(tokens_request("abcd"), 1)
    assert story.matched(tokens_request("abcd")) == [0.0, 0.0]


def test_without_tokens_the_approximate_index_decides_and_has_learned_all_along() -> None:
    story = Story()
    story.publish(0, stored("x"))
    story.send(tokens_request("abcd"), 1)
    unanswered = replaced(tokens_request("abcd"), prompt_tokens=None)
    match = story.match(unanswered)
    assert not match.is_precise
    assert story.matched(unanswered) == [0.0, match.total_blocks]


def test_before_any_event_the_approximate_index_decides() -> None:
    story = Story()
    assert not story.producer.wants_tokens
    story.send(tokens_request("abcd"), 1)
    assert story.matched(tokens_request("abcd"))[1] > 0.0
    story.publish(0, stored("x"))
    assert story.producer.wants_tokens


def test_an_endpoint_that_is_not_completely_known_counts_what_it_probably_has() -> None:
    story = Story(complete=(0,))
    story.publish(0, stored("ab"))
    story.publish(1, stored("a"))
    assert story.matched(tokens_request("abcd")) == [2.0, 1.0]
    story.send(tokens_request("abcd"), 1)
    story.send(tokens_request("abcd"), 0)
    assert story.matched(tokens_request("abcd")) == [2.0, 4.0]


def test_events_that_were_lost_are_not_believed_any_more() -> None:
    story = Story()
    story.publish(0, stored("ab"))
    story.publish(1, stored("ab"))
    story.producer.events_lost(story.pool.slot(0))
    assert story.matched(tokens_request("ab")) == [0.0, 2.0]
    assert not story.producer.is_complete(story.pool.slot(0))
    story.publish(0, AllBlocksCleared())
    assert story.producer.is_complete(story.pool.slot(0))


def test_a_new_owner_of_a_slot_has_nothing() -> None:
    story = Story()
    story.publish(0, stored("ab"))
    story.publish(1, stored("x"))
    story.send(tokens_request("ab"), 0)
    story.producer.forget_slot(story.pool.slot(0))
    assert story.matched(tokens_request("ab")) == [0.0, 0.0]


def test_adapters_and_salts_are_never_mixed() -> None:
    story = Story()
    story.publish(0, stored("ab"), stored("ab", adapter="food", extra_keys=(("food",), ("food",))))
    story.publish(1, stored("ab", extra_keys=(("tenant",), ())))
    assert story.matched(tokens_request("ab")) == [2.0, 0.0]
    assert story.matched(tokens_request("ab", cache_salt="tenant")) == [0.0, 2.0]
    story.publish(0, removed("a", "ab"))
    assert story.matched(tokens_request("ab", model="food")) == [2.0, 0.0]


def test_a_model_that_nobody_has_named_is_left_to_the_approximate_index() -> None:
    """It may be an adapter that no engine has loaded yet: blocks of the base model are none of its."""
    story = Story()
    story.publish(0, stored("ab"))
    match = story.match(tokens_request("ab", model="travel"))
    assert not match.is_precise
    assert story.matched(tokens_request("ab", model="travel")) == [0.0, 0.0]


def test_without_names_in_the_topics_whatever_is_no_adapter_is_the_base_model() -> None:
    story = Story()
    story.publish(0, stored("ab"), model="")
    assert story.matched(tokens_request("ab", model="whatever")) == [2.0, 0.0]


def test_engines_with_blocks_of_different_sizes() -> None:
    story = Story()
    story.publish(0, stored("abcd"))
    story.publish(1, BlockStored((1, 2), None, token_ids("abcd"), 2 * BLOCK_TOKENS, ""))
    match = story.match(tokens_request("abcd"))
    tokens = match.matched_blocks(story.pool.candidates.slots) * match.block_tokens
    assert list(tokens) == [4 * BLOCK_TOKENS] * 2


def test_weights_of_the_media_are_taken_from_the_configuration() -> None:
    backends = (KvCacheBackendParameters("GPU", 1.0), KvCacheBackendParameters("CPU", 0.5))
    story = Story(PrecisePrefixCacheParameters(indexer_config=IndexerParameters(kv_cache_backend_configs=backends)))
    story.publish(0, stored("ab", medium="cpu"))
    assert story.matched(tokens_request("ab")) == [1.0, 0.0]


def test_speculation_counts_a_prompt_where_it_was_just_sent() -> None:
    story = Story(PrecisePrefixCacheParameters(speculative_indexing=True))
    story.publish(0, stored("a"))
    story.send(tokens_request("abcd"), 1)
    assert story.matched(tokens_request("abxx")) == [1.0, 2.0]
    story.pool.now += 10.0
    assert story.matched(tokens_request("abxx")) == [1.0, 0.0]
    story.send(tokens_request("abcd"), 1)
    story.producer.forget_slot(story.pool.slot(1))
    assert story.matched(tokens_request("abxx")) == [1.0, 0.0]


@pytest.mark.parametrize("letters", ["", "a"])
def test_a_prompt_shorter_than_a_block(letters: str) -> None:
    story = Story()
    story.publish(0, stored("ab"))
    request = replaced(tokens_request(letters), prompt_tokens=token_ids(letters)[:4])
    assert story.match(request).total_blocks == 0
    assert story.matched(request) == [0.0, 0.0]


def test_the_scorers_take_it_for_what_they_know() -> None:
    story = Story()
    story.publish(1, stored("abc"))
    cycle = story.pool.cycle(tokens_request("abcd"))
    cycle.products["index"] = story.producer.produce(cycle, story.pool.candidates)
    scorer = PrefixCacheScorer(PrefixCacheParameters(prefix_match_info_producer_name="index"))
    assert list(scorer.score(cycle, story.pool.candidates)) == [0.0, 0.75]
    combined = PrecisePrefixCacheScorer(PrecisePrefixCacheScorerParameters(prefix_match_info_producer_name="index"))
    assert list(combined.score(cycle, story.pool.candidates)) == [0.0, 0.75]
    cost = ExpectedCostScorer(ExpectedCostParameters(prefix_match_info_producer_name="index"))
    assert list(cost.score(cycle, story.pool.candidates)) == [0.0, 1.0]


def test_blocks_have_names_of_their_own_per_engine() -> None:
    """Two engines may call the same block differently, and different blocks the same."""
    story = Story()
    story.publish(0, stored("ab"))
    story.publish(1, BlockStored((name("ab"), name("a")), None, token_ids("ab"), BLOCK_TOKENS, ""))
    assert story.matched(tokens_request("ab")) == [2.0, 2.0]
    story.publish(1, removed("ab"))
    assert story.matched(tokens_request("ab")) == [2.0, 0.0]
