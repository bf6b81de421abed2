"""The producer says where the requests of a window go, and what a placement is worth when the request is scheduled."""

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.domain.ports import ObjectState
from epp.core.domain.request import InferenceRequest, Placement
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.burst_placement import BurstPrompt
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.scheduling.producers.burst_prefix_cache import BurstPrefixCacheParameters, BurstPrefixCacheProducer
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from tests.support.small_pool import POOL, SmallPool, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
NAMED = "- type: prefix-cache-scorer\n  parameters: {prefixMatchInfoProducerName: burst-prefix-cache-producer}\n"


def producer(**parameters: Any) -> BurstPrefixCacheProducer:
    return BurstPrefixCacheProducer("burst", BurstPrefixCacheParameters(**parameters))


def prompts(maker: BurstPrefixCacheProducer, *texts: str) -> list[BurstPrompt]:
    requests = [text_request(text) for text in texts]
    return [BurstPrompt(maker.chain(request), request.token_count) for request in requests]


def match(pool: SmallPool, *placements: Placement, **parameters: Any) -> PrefixMatch:
    request = text_request("x" * 512, placements=placements)
    return producer(**parameters).produce(pool.cycle(request), pool.candidates)


def test_blocks_of_64_tokens_of_4_bytes_a_partial_one_left_out() -> None:
    assert len(producer().chain(text_request("x" * (256 * 3 + 255)))) == 3
    assert len(producer(block_size_tokens=16).chain(text_request("x" * 256))) == 4


def test_the_comparison_is_bounded() -> None:
    assert len(producer(max_prefix_tokens_to_match=200).chain(text_request("x" * 4096))) == 3
    assert len(producer().chain(text_request("x" * 256 * 2100))) == 2048


def test_a_prompt_shorter_than_a_block_has_nothing_to_share() -> None:
    assert producer().may_share(text_request("x" * 256))
    assert not producer().may_share(text_request("x" * 255))
    assert not producer().may_share(InferenceRequest("r"))


def test_models_are_never_mixed() -> None:
    maker = producer()
    ours, theirs = text_request("x" * 256, target_model="a"), text_request("x" * 256, target_model="b")
    assert maker.chain(ours) != maker.chain(theirs)


def test_a_placement_names_slot_and_generation() -> None:
    pool, maker = SmallPool(3), producer()
    pool.hold(0)
    pool.hold(2)
    placed = maker.place(prompts(maker, "x" * 600, "x" * 520), pool.candidates, pool.ledger, Random(1))
    slot = pool.slot(1)
    assert placed == [Placement("burst", slot, pool.ledger.generation(slot), 2)] * 2


def test_tokens_in_flight_count_where_tokens_are_balanced() -> None:
    pool, maker = SmallPool(2), producer(balance_by="tokens")
    pool.ledger.reserve(pool.slot(0), tokens=5000)
    pool.hold(1, requests=7)
    placed = maker.place(prompts(maker, "x" * 256, "x" * 256), pool.candidates, pool.ledger, Random(1))
    assert [placement.slot for placement in placed if placement] == [pool.slot(1)] * 2


def test_equally_loaded_endpoints_are_chosen_at_random() -> None:
    pool, maker = SmallPool(4), producer()
    pair = prompts(maker, "x" * 256, "x" * 256)
    rng = Random(1)
    placed = [maker.place(pair, pool.candidates, pool.ledger, rng)[0] for _ in range(50)]
    assert {placement.slot for placement in placed if placement} == {pool.slot(number) for number in range(4)}


def test_a_placed_request_matches_with_its_whole_prompt_there_and_nowhere_else() -> None:
    pool = SmallPool(3)
    slot = pool.slot(1)
    found = match(pool, Placement("burst", slot, pool.ledger.generation(slot), 2))
    assert found.matched_blocks(pool.candidates.slots).tolist() == [0.0, 2.0, 0.0]
    assert (found.total_blocks, found.block_tokens) == (2, 64)
    scorer = PrefixCacheScorer(PrefixCacheParameters(prefix_match_info_producer_name="burst"))
    scores = scorer.score(pool.cycle(text_request(""), burst=found), pool.candidates)
    assert scores.tolist() == [0.0, 1.0, 0.0]


def test_a_request_that_was_not_placed_matches_nowhere() -> None:
    assert match(SmallPool(2)).total_blocks == 0


def test_the_placement_of_another_producer_does_not_count() -> None:
    pool = SmallPool(2)
    assert match(pool, Placement("other", pool.slot(0), pool.ledger.generation(pool.slot(0)), 2)).total_blocks == 0


def test_a_slot_with_another_owner_is_no_match() -> None:
    pool = SmallPool(2)
    slot = pool.slot(1)
    placement = Placement("burst", slot, pool.ledger.generation(slot), 2)
    pool.roster.objects_changed(ObjectState(POOL, pool.endpoints[:1]))
    pool.roster.objects_changed(
        ObjectState(POOL, (pool.endpoints[0], msgspec.structs.replace(pool.endpoints[1], incarnation="later")))
    )
    assert pool.slot(1) == slot, "the slot was used again"
    assert match(pool, placement).total_blocks == 0


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("windowDurationMs: 10001", "windowDurationMs"),
        ("windowDurationMs: 0", "windowDurationMs"),
        ("maxPerReplica: 0", "maxPerReplica is at least 1, or -1 for no limit"),
        ("maxBatchSize: 0", "maxBatchSize is at least 1, or -1 for no limit"),
        ("maxBatchSize: -2", "maxBatchSize"),
        ("blockSizeTokens: 0", "blockSizeTokens"),
        ("maxPrefixTokensToMatch: 63", "maxPrefixTokensToMatch is 0 or at least blockSizeTokens"),
        ("minColocateBlocks: -1", "minColocateBlocks"),
        ("balanceBy: bytes", "balanceBy"),
    ],
)
def test_what_makes_no_sense_is_a_mistake(parameters: str, problem: str) -> None:
    text = f"{HEAD}{NAMED}- type: burst-prefix-cache-producer\n  parameters: {{{parameters}}}\n"
    with pytest.raises(ConfigurationError, match=problem):
        load_config(text, "epp.yaml", CATALOGUE)


def test_it_works_only_where_it_is_named() -> None:
    declared = f"{HEAD}- type: prefix-cache-scorer\n- type: burst-prefix-cache-producer\n"
    config = load_config(declared, "epp.yaml", CATALOGUE)
    assert config.producers == ("approx-prefix-cache-producer",)
    assert any("burst-prefix-cache-producer" in str(notice) for notice in config.notices)

    named = load_config(f"{HEAD}{NAMED}- type: burst-prefix-cache-producer\n", "epp.yaml", CATALOGUE)
    assert named.producers == ("burst-prefix-cache-producer",)
    assert isinstance(build_policy(named).producers[0].plugin, BurstPrefixCacheProducer)


def test_it_is_experimental() -> None:
    text = f"{HEAD}{NAMED}- type: burst-prefix-cache-producer\n"
    with pytest.raises(ConfigurationError, match="experimental"):
        load_config(text, "epp.yaml", CATALOGUE, allow_experimental=False)


def test_placing_books_nothing() -> None:
    pool, maker = SmallPool(2), producer()
    maker.place(prompts(maker, "x" * 256, "x" * 256), pool.candidates, pool.ledger, Random(1))
    assert not np.any(pool.ledger.requests)
