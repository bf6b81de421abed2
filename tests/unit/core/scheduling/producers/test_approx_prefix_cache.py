import pytest

from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer, PrefixMatch
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from tests.support.small_pool import SmallPool, text_request


class Story:
    """One producer and one pool; `send` is a request that goes to an endpoint, `match` asks without sending."""

    def __init__(self, parameters: ApproxPrefixCacheParameters | None = None, endpoints: int = 2) -> None:
        self.pool = SmallPool(endpoints)
        self.producer = ApproxPrefixCacheProducer("index", parameters or ApproxPrefixCacheParameters())

    def match(self, request: InferenceRequest) -> PrefixMatch:
        return self.producer.produce(self.pool.cycle(request), self.pool.candidates)

    def matched(self, request: InferenceRequest) -> list[float]:
        return [float(blocks) for blocks in self.match(request).matched_blocks(self.pool.candidates.slots)]

    def send(self, request: InferenceRequest, number: int) -> None:
        cycle = self.pool.cycle(request, index=self.match(request))
        self.producer.learn(cycle, self.pool.ledger.reserve(self.pool.slot(number), 1))


def test_blocks_of_16_tokens_of_4_bytes_a_partial_one_left_out() -> None:
    match = Story().match(text_request("x" * (64 * 3 + 63)))
    assert (match.total_blocks, match.block_tokens) == (3, 16)


def test_a_prompt_matches_where_it_was_sent() -> None:
    story = Story()
    story.send(text_request("a" * 640), 1)

    assert story.matched(text_request("a" * 640)) == [0.0, 10.0]
    assert story.matched(text_request("a" * 320 + "b" * 320)) == [0.0, 5.0]
    assert story.matched(text_request("b" + "a" * 639)) == [0.0, 0.0]
    assert story.producer.index_blocks == 10


@pytest.mark.parametrize(
    "other",
    [
        text_request("a" * 640, target_model="adapter"),
        text_request("a" * 640, cache_salt="tenant"),
        InferenceRequest("r", prompt=Prompt(PromptKind.TOKEN_IDS, b"a" * 640)),
    ],
    ids=["model", "salt", "kind"],
)
def test_model_salt_and_kind_of_prompt_are_never_mixed(other: InferenceRequest) -> None:
    story = Story()
    story.send(text_request("a" * 640), 0)
    assert story.matched(other) == [0.0, 0.0]


def test_without_a_prompt_there_is_no_chain() -> None:
    story = Story()
    story.send(InferenceRequest("r"), 0)
    assert story.match(InferenceRequest("r")).total_blocks == 0
    assert story.producer.index_blocks == 0


def test_a_view_of_a_body_is_as_good_as_bytes() -> None:
    story = Story()
    story.send(text_request("a" * 640), 0)
    view = memoryview(b"{" + b"a" * 640 + b"}")[1:-1]
    assert story.matched(InferenceRequest("r", prompt=Prompt(PromptKind.TEXT, view))) == [10.0, 0.0]


@pytest.mark.parametrize(
    ("parameters", "block_tokens"),
    [
        (ApproxPrefixCacheParameters(), 16),
        (ApproxPrefixCacheParameters(block_size_tokens=64), 64),
        (ApproxPrefixCacheParameters(block_size=64), 16),
        (ApproxPrefixCacheParameters(block_size=130), 33),
        (ApproxPrefixCacheParameters(hash_block_size=256), 64),
        (ApproxPrefixCacheParameters(block_size_tokens=8, block_size=64), 8),
    ],
)
def test_configured_block_size_counts_as_long_as_the_engine_said_nothing(
    parameters: ApproxPrefixCacheParameters, block_tokens: int
) -> None:
    assert Story(parameters).match(text_request("a" * 6400)).block_tokens == block_tokens


def test_auto_tune_takes_the_block_size_of_the_engine() -> None:
    story = Story(ApproxPrefixCacheParameters(block_size_tokens=64))
    story.pool.report(0, kv_block_tokens=32, kv_blocks=1000)
    assert story.match(text_request("a" * 6400)).block_tokens == 32


def test_an_endpoint_that_said_nothing_yet_does_not_change_the_block_size() -> None:
    story = Story()
    story.pool.report(1, kv_block_tokens=32, kv_blocks=1000)
    assert story.match(text_request("a" * 6400)).block_tokens == 32


def test_without_auto_tune_the_engine_is_not_asked() -> None:
    story = Story(ApproxPrefixCacheParameters(auto_tune=False, block_size_tokens=64, lru_capacity_per_server=3))
    story.pool.report(0, kv_block_tokens=32, kv_blocks=1000)
    story.send(text_request("a" * 64 * 4 * 10), 0)
    assert story.match(text_request("a" * 6400)).block_tokens == 64
    assert story.producer.index_blocks == 3


def test_auto_tune_keeps_as_many_blocks_as_the_engine_has() -> None:
    story = Story(ApproxPrefixCacheParameters(lru_capacity_per_server=3))
    story.pool.report(0, kv_block_tokens=16, kv_blocks=7)
    story.send(text_request("a" * 64 * 20), 0)
    story.send(text_request("a" * 64 * 20), 1)
    assert story.matched(text_request("a" * 64 * 20)) == [7.0, 3.0]


@pytest.mark.parametrize(
    ("parameters", "blocks"),
    [
        (ApproxPrefixCacheParameters(), 131072 // 16),
        (ApproxPrefixCacheParameters(max_prefix_tokens_to_match=160), 10),
        (ApproxPrefixCacheParameters(max_prefix_blocks_to_match=5), 5),
        (ApproxPrefixCacheParameters(max_prefix_tokens_to_match=160, max_prefix_blocks_to_match=5), 10),
        (ApproxPrefixCacheParameters(max_prefix_tokens_to_match=15), 0),
    ],
)
def test_the_match_is_capped(parameters: ApproxPrefixCacheParameters, blocks: int) -> None:
    assert Story(parameters).match(text_request("a" * 64 * 9000)).total_blocks == blocks


def test_a_slot_with_a_new_owner_holds_nothing() -> None:
    story = Story()
    story.send(text_request("a" * 640), 0)
    story.producer.forget_slot(story.pool.slot(0))
    assert story.matched(text_request("a" * 640)) == [0.0, 0.0]
    assert story.producer.index_blocks == 0
