"""How precise prefix matches are asked for: producer, token-producer, consumers, and the form with both in one."""

import pytest

from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.parameters import TokenProducerParameters
from epp.core.config.settings import PickerConfig, parameters_as
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheParameters, PrecisePrefixCacheProducer

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
PRECISE = "- type: precise-prefix-cache-producer\n"
APPROX = "- type: approx-prefix-cache-producer\n"
SCORER = "- type: prefix-cache-scorer\n"
NAMED = SCORER + "  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}\n"

DEPRECATED = "precise-prefix-cache-scorer is deprecated: write precise-prefix-cache-producer and prefix-cache-scorer"
REFERENCE = """\
- type: precise-prefix-cache-scorer
  parameters:
    kvEventsConfig: {zmqEndpoint: 'tcp://*:5557', topicFilter: kv@, concurrency: 4, discoverPods: false}
    tokenProcessorConfig: {blockSize: 64, hashSeed: '42'}
    indexerConfig:
      prefixStoreConfig: {blockSize: 16}
      kvBlockIndexConfig: {inMemoryConfig: {size: 100000000, podCacheSize: 10}, enableMetrics: true}
      tokenizersPoolConfig: {hf: {huggingFaceToken: x}}
      kvCacheBackendConfigs: [{name: gpu, weight: 1.0}, {name: cpu, weight: 0.8}]
    speculativeIndexing: true
    speculativeTTL: 3s
"""


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "test", CATALOGUE)


def notices(config: PickerConfig) -> list[str]:
    return [notice.text for notice in config.notices if "profile" not in notice.text]


def test_a_consumer_names_the_precise_producer() -> None:
    config = load(PRECISE + APPROX + NAMED)
    assert config.plugin("prefix-cache-scorer").needs == ("precise-prefix-cache-producer",)
    assert config.producers == ("token-producer", "precise-prefix-cache-producer")
    [producer] = build_policy(config).producers
    assert isinstance(producer.plugin, PrecisePrefixCacheProducer)
    assert producer.plugin.parameters.token_producer_name == "token-producer"


def test_where_only_the_precise_one_is_declared_it_is_taken() -> None:
    config = load(PRECISE + SCORER + "- type: expected-cost-scorer\n- type: no-hit-lru-scorer\n")
    for consumer in ("prefix-cache-scorer", "expected-cost-scorer", "no-hit-lru-scorer"):
        assert config.plugin(consumer).needs == ("precise-prefix-cache-producer",)
    assert notices(config) == []


def test_where_both_are_declared_the_approximate_one_is_the_default() -> None:
    config = load(PRECISE + APPROX + SCORER)
    assert config.plugin("prefix-cache-scorer").needs == ("approx-prefix-cache-producer",)
    assert notices(config) == ["nothing refers to the plugin 'precise-prefix-cache-producer', so it has no effect"]
    [producer] = build_policy(config).producers
    assert isinstance(producer.plugin, ApproxPrefixCacheProducer)


def test_several_precise_ones_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match="several plugins of type precise-prefix-cache-producer are declared"):
        load(
            "- {name: a, type: precise-prefix-cache-producer}\n- {name: b, type: precise-prefix-cache-producer}\n"
            + SCORER
        )


def test_the_token_producer_may_be_declared_under_its_old_name() -> None:
    config = load(PRECISE + SCORER + "- {type: tokenizer, parameters: {vllm: {timeout: 1s}}}\n")
    parameters = parameters_as(TokenProducerParameters, config.plugin("tokenizer"))
    assert parameters.vllm is not None
    assert (parameters.vllm.url, parameters.vllm.timeout) == ("http://localhost:8000", 1.0)
    assert config.producers[0] == "tokenizer"
    assert notices(config) == ["the plugin type 'tokenizer' is deprecated; write 'token-producer'"]


def test_one_source_of_tokens_at_a_time() -> None:
    with pytest.raises(ConfigurationError, match="vllm and local exclude each other"):
        load(PRECISE + SCORER + "- {type: token-producer, parameters: {vllm: {}, local: {path: a}}}\n")


def test_the_deprecated_form_with_the_references_parameters() -> None:
    config = load(REFERENCE)
    assert config.plugin("precise-prefix-cache-scorer").needs == ("precise-prefix-cache-producer",)
    made = parameters_as(PrecisePrefixCacheParameters, config.plugin("precise-prefix-cache-producer"))
    assert (made.speculative_indexing, made.speculative_ttl) == (True, 3.0)
    assert notices(config) == [
        DEPRECATED,
        "no effect: the pods of the pool are subscribed to, each at its own port",
        "no effect: every pod has a subscription of its own",
        "no effect: the endpoints of the pool are those that are subscribed to",
        "no effect: block sizes come with the events, and the hashes are the picker's own",
        "no effect: the token-producer keeps what it was told",
        "no effect: the index is in memory, and its bound per endpoint is fixed",
        "no effect: see token-producer",
    ]
    assert build_policy(config).producers[0].name == "precise-prefix-cache-producer"


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("{kvEventsConfig: {podDiscoveryConfig: {socketPort: 0}}}", "socketPort"),
        ("{indexerConfig: {kvCacheBackendConfigs: [{name: gpu, weight: 2.0}]}}", "weight"),
        ("{kvEventsConfig: {engineType: other}}", "'other' is not one of vllm, sglang"),
        ("{speculativeTTL: 5}", "expected a duration"),
        ("{blockSize: 5}", "unknown field"),
    ],
)
def test_mistakes(parameters: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(f"- {{type: precise-prefix-cache-producer, parameters: {parameters}}}\n" + SCORER)
