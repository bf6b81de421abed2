import pytest

from epp.core.config.load import built_in_policy, default_config, load_config
from epp.core.scheduling.build import Instances, build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.filters.header_based_testing import HeaderBasedTestingFilter
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.random import RandomPicker
from epp.core.scheduling.plugins import Learner, LoadObserver, OutcomeObserver, PickObserver, SlotMemory
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scheduler import Policy
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from epp.core.scheduling.scorers.kv_cache import KvCacheScorer
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheScorer
from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.scheduling.scorers.session_affinity import SessionAffinityScorer
from epp.core.scheduling.session_token import SessionKey
from tests.support.small_pool import SmallPool, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def built(text: str) -> Policy:
    return build_policy(load_config(HEAD + text, "epp.yaml", CATALOGUE))


def test_default_policy() -> None:
    policy = build_policy(default_config(CATALOGUE))

    (profile,) = policy.profiles
    assert [(scorer.name, type(scorer.plugin), scorer.weight) for scorer in profile.scorers] == [
        ("expected-cost-scorer", ExpectedCostScorer, 1.0)
    ]
    assert isinstance(profile.picker, MaxScorePicker)
    assert [type(named.plugin) for named in policy.producers] == [ApproxPrefixCacheProducer]
    for hook in (PickObserver, OutcomeObserver, LoadObserver, SlotMemory, Learner):
        assert isinstance(profile.scorers[0].plugin, hook)


def test_policy_of_the_reference() -> None:
    policy = build_policy(built_in_policy("reference", CATALOGUE))

    (profile,) = policy.profiles
    assert [(scorer.name, type(scorer.plugin), scorer.weight) for scorer in profile.scorers] == [
        ("queue-scorer", QueueScorer, 2.0),
        ("kv-cache-utilization-scorer", KvCacheScorer, 2.0),
        ("prefix-cache-scorer", PrefixCacheScorer, 3.0),
    ]
    assert isinstance(profile.picker, MaxScorePicker)
    assert isinstance(policy.handler, SingleProfileHandler)
    (producer,) = policy.producers
    assert isinstance(producer.plugin, ApproxPrefixCacheProducer)
    assert isinstance(producer.plugin, Learner)


def test_two_policies_share_nothing() -> None:
    config = default_config(CATALOGUE)
    first, second = build_policy(config), build_policy(config)
    assert first.producers[0].plugin is not second.producers[0].plugin


def test_a_scorer_finds_the_product_of_its_producer_under_its_name() -> None:
    policy = built(
        "plugins:\n- {type: approx-prefix-cache-producer, name: index, parameters: {autoTune: false}}\n"
        "- {type: prefix-cache-scorer, name: prefix, parameters: {prefixMatchInfoProducerName: index}}\n"
    )
    (named,) = policy.producers
    pool = SmallPool(2)
    cycle = pool.cycle(text_request("x" * 640))
    cycle.products[named.name] = named.plugin.produce(cycle, pool.candidates)
    producer = named.plugin
    assert isinstance(producer, ApproxPrefixCacheProducer)
    producer.learn(cycle, pool.ledger.reserve(pool.slot(1), 1))

    cycle.products[named.name] = producer.produce(cycle, pool.candidates)
    assert policy.profiles[0].scorers[0].plugin.score(cycle, pool.candidates).tolist() == [0.0, 1.0]


def test_scorers_with_equal_index_parameters_share_one_producer() -> None:
    policy = built(
        "plugins:\n- {type: prefix-cache-scorer, name: a}\n"
        "- {type: prefix-cache-scorer, name: b, parameters: {matchLengthWeight: 0.5}}\n"
        "- {type: prefix-cache-scorer, name: c, parameters: {lruCapacityPerServer: 5}}\n"
    )
    assert [named.name for named in policy.producers] == [
        "approx-prefix-cache-producer",
        "approx-prefix-cache-producer-for-c",
    ]


def test_filters_pickers_and_their_parameters() -> None:
    policy = built(
        "plugins:\n- type: queue-scorer\n- type: header-based-testing-filter\n"
        "- {type: random-picker, parameters: {maxNumOfEndpoints: 3}}\n"
    )
    (profile,) = policy.profiles
    assert [(named.name, type(named.plugin)) for named in profile.filters] == [
        ("header-based-testing-filter", HeaderBasedTestingFilter)
    ]
    assert isinstance(profile.picker, RandomPicker)
    pool = SmallPool(4)
    assert len(profile.picker.pick(pool.cycle(), pool.candidates, pool.snapshot.load.waiting[:4])) == 3


def test_a_producer_that_is_only_settings_is_not_made() -> None:
    policy = built(
        "plugins:\n- type: inflight-load-producer\n"
        "- type: active-request-scorer\n  parameters: {inFlightLoadProducerName: inflight-load-producer}\n"
    )
    assert policy.producers == ()


def test_an_instance_of_another_kind_is_refused() -> None:
    instances = Instances(built_in_policy("reference", CATALOGUE))

    assert instances.scorer("queue-scorer") is instances.scorer("queue-scorer")
    for wanted in (instances.filter, instances.picker, instances.producer, instances.handler):
        with pytest.raises(TypeError, match="plugin 'queue-scorer' is no "):
            wanted("queue-scorer")
    with pytest.raises(TypeError, match="plugin 'max-score-picker' is no scorer"):
        instances.scorer("max-score-picker")


def test_consumers_of_prefix_matches_share_one_producer() -> None:
    policy = built(
        "plugins:\n- type: prefix-cache-scorer\n- type: token-load-scorer\n- type: no-hit-lru-scorer\n"
        "- type: prefix-cache-affinity-filter\n"
    )
    assert [named.name for named in policy.producers] == ["approx-prefix-cache-producer"]


def test_tokens_are_made_with_the_session_key() -> None:
    config = load_config(HEAD + "plugins:\n- type: session-affinity-scorer\n", "epp.yaml", CATALOGUE)
    pool = SmallPool(1)
    headers = []
    for key in (SessionKey(b"one"), SessionKey(b"one"), SessionKey(b"two")):
        scorer = build_policy(config, key).profiles[0].scorers[0].plugin
        assert isinstance(scorer, SessionAffinityScorer)
        headers.append(scorer.response_header(pool.endpoints[0]))
    assert headers[0] == headers[1] != headers[2]


def test_filter_and_scorer_of_one_name_are_one_plugin() -> None:
    (profile,) = built("plugins:\n- {type: context-length-aware, parameters: {enableFiltering: true}}\n").profiles
    both: list[object] = [profile.filters[0].plugin, profile.scorers[0].plugin]
    assert both[0] is both[1]


def test_deprecated_names() -> None:
    config = load_config(
        HEAD + "plugins:\n- {type: by-label-selector, parameters: {matchLabels: {a: b}}}\n", "epp.yaml", CATALOGUE
    )
    assert config.plugins[0].type == "label-selector-filter"
    assert "the plugin type 'by-label-selector' is deprecated; write 'label-selector-filter'" in str(config.notices[0])
