"""Filling rules, references between plugins, notices: what a configuration comes to."""

import json

import pytest

from epp.core.config.built_in_policies import POLICIES
from epp.core.config.load import built_in_policy, default_config, load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    MetricsDataSourceParameters,
    UtilizationDetectorParameters,
)
from epp.core.config.settings import PickerConfig, WeightedPlugin
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "epp.yaml", CATALOGUE)


def notices(config: PickerConfig) -> list[str]:
    return [str(notice) for notice in config.notices]


def test_default_policy() -> None:
    config = default_config(CATALOGUE)

    (profile,) = config.profiles
    assert profile.scorers == (WeightedPlugin("expected-cost-scorer", 1.0),)
    assert (profile.name, profile.filters, profile.picker) == ("default", (), "max-score-picker")
    assert config.producers == ("approx-prefix-cache-producer",)
    assert (config.source, config.notices) == ("built-in policy expected-cost", ())


def test_the_default_of_the_reference_is_a_policy_too() -> None:
    config = built_in_policy("reference", CATALOGUE)

    (profile,) = config.profiles
    assert profile.scorers == (
        WeightedPlugin("queue-scorer", 2.0),
        WeightedPlugin("kv-cache-utilization-scorer", 2.0),
        WeightedPlugin("prefix-cache-scorer", 3.0),
    )
    assert (profile.name, profile.filters, profile.picker) == ("default", (), "max-score-picker")
    assert config.producers == ("approx-prefix-cache-producer",)
    assert config.handler == "single-profile-handler"
    assert config.notices == ()


def test_the_same_text_gives_the_same_settings() -> None:
    text = POLICIES["reference"]
    assert load_config(text, "x", CATALOGUE) == load_config(text, "x", CATALOGUE)


def test_json_is_accepted() -> None:
    text = json.dumps(
        {
            "apiVersion": "llm-d.ai/v1alpha1",
            "kind": "EndpointPickerConfig",
            "plugins": [{"type": "queue-scorer", "name": "q"}],
            "schedulingProfiles": [{"name": "p", "plugins": [{"pluginRef": "q", "weight": 2}]}],
        },
        indent=2,
    )
    config = load_config(text, "epp.json", CATALOGUE)
    assert config.profiles[0].scorers == (WeightedPlugin("q", 2.0),)


def test_without_profiles_everything_that_judges_is_in_the_default_one_in_the_order_of_the_file() -> None:
    config = load(
        "plugins:\n"
        "- type: running-requests-size-scorer\n"
        "- type: approx-prefix-cache-producer\n"
        "- type: header-based-testing-filter\n"
        "- type: random-picker\n"
        "- {type: queue-scorer, name: a}\n"
    )
    (profile,) = config.profiles
    assert profile.name == "default"
    assert profile.filters == ("header-based-testing-filter",)
    assert profile.scorers == (WeightedPlugin("running-requests-size-scorer"), WeightedPlugin("a"))
    assert profile.picker == "random-picker"
    assert config.producers == ()
    assert notices(config) == [
        "epp.yaml:5: plugins[1]: nothing refers to the plugin 'approx-prefix-cache-producer', so it has no effect"
    ]


def test_a_profile_without_picker_gets_the_default_one() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\nschedulingProfiles:\n- name: p\n  plugins: [{pluginRef: queue-scorer}]\n"
    )

    assert config.profiles[0].picker == "max-score-picker"
    settings = config.plugin("max-score-picker")
    assert (settings.parameters, settings.line) == (PickerParameters(), None)
    assert notices(config) == []


def test_a_profile_without_picker_gets_the_first_declared_one_and_says_so() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n- type: weighted-random-picker\n- type: random-picker\n"
        "schedulingProfiles:\n- name: p\n  plugins: [{pluginRef: queue-scorer}]\n"
    )
    assert config.profiles[0].picker == "weighted-random-picker"
    assert notices(config) == [
        (
            "epp.yaml:8: schedulingProfiles[0]: profile 'p' names no picker; the first one of the file is used, "
            "'weighted-random-picker'"
        ),
        "epp.yaml:6: plugins[2]: nothing refers to the plugin 'random-picker', so it has no effect",
    ]


def test_a_name_that_is_taken_does_not_stop_a_plugin_from_being_filled_in() -> None:
    config = load(
        "plugins:\n- {type: queue-scorer, name: max-score-picker}\n"
        "- {type: queue-scorer, name: single-profile-handler}\n"
    )

    assert config.plugin(config.profiles[0].picker).type == "max-score-picker"
    assert config.plugin(config.handler).type == "single-profile-handler"
    assert len({settings.name for settings in config.plugins}) == len(config.plugins)


def test_no_plugins_at_all_is_a_policy_without_preferences() -> None:
    config = load("")

    assert (config.profiles[0].scorers, config.profiles[0].picker) == ((), "max-score-picker")
    assert "profile 'default' has no scorer" in notices(config)[0]


def test_null_means_not_given() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n  name:\n  parameters:\n- type: max-score-picker\n"
        "  parameters: {maxNumOfEndpoints: null}\nschedulingProfiles:\ndataLayer:\nfeatureGates: ~\n"
    )
    assert config.profiles[0].scorers == (WeightedPlugin("queue-scorer"),)


def test_equal_prefix_scorers_share_a_producer_and_others_get_their_own() -> None:
    config = load(
        "plugins:\n"
        "- {type: prefix-cache-scorer, name: a}\n"
        "- {type: prefix-cache-scorer, name: b, parameters: {matchLengthWeight: 0.5}}\n"
        "- {type: prefix-cache-scorer, name: c, parameters: {lruCapacityPerServer: 10}}\n"
    )
    assert config.producers == ("approx-prefix-cache-producer", "approx-prefix-cache-producer-for-c")
    assert [config.plugin(name).needs for name in "abc"] == [
        ("approx-prefix-cache-producer",),
        ("approx-prefix-cache-producer",),
        ("approx-prefix-cache-producer-for-c",),
    ]
    assert config.plugin("approx-prefix-cache-producer-for-c").parameters == ApproxPrefixCacheParameters(
        lru_capacity_per_server=10
    )


def test_a_declared_producer_is_used_and_overrules_the_scorer() -> None:
    config = load(
        "plugins:\n"
        "- type: prefix-cache-scorer\n"
        "  parameters: {lruCapacityPerServer: 10}\n"
        "- {type: approx-prefix-cache-producer, name: mine, parameters: {lruCapacityPerServer: 20}}\n"
    )
    assert config.producers == ("mine",)
    assert config.plugin("mine").parameters == ApproxPrefixCacheParameters(lru_capacity_per_server=20)
    assert notices(config) == [
        "epp.yaml:5: plugins[0].parameters: the index parameters here have no effect: those of 'mine' count"
    ]


def test_of_several_producers_the_one_named_as_its_type_is_the_default() -> None:
    config = load(
        "plugins:\n- type: prefix-cache-scorer\n- {type: approx-prefix-cache-producer, name: other}\n"
        "- type: approx-prefix-cache-producer\n"
    )
    assert config.producers == ("approx-prefix-cache-producer",)


def test_in_flight_producer_of_the_reference_is_accepted() -> None:
    config = load(
        "plugins:\n- type: inflight-load-producer\n"
        "- type: active-request-scorer\n  parameters: {inFlightLoadProducerName: inflight-load-producer}\n"
    )
    assert config.producers == ("inflight-load-producer",)
    assert notices(config) == [
        "epp.yaml:4: plugins[0]: the picker counts what it has in flight by itself, so its parameters have no effect"
    ]


def test_parameters_of_the_single_profile_handler_are_ignored_with_a_notice() -> None:
    config = load("plugins:\n- type: queue-scorer\n- type: single-profile-handler\n  parameters: {primaryProfile: x}\n")

    assert notices(config) == [
        "epp.yaml:6: plugins[1].parameters: single-profile-handler takes no parameters; these have no effect"
    ]


def test_a_scorer_twice_in_a_profile_counts_twice_with_a_notice() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\nschedulingProfiles:\n- name: p\n  plugins:\n"
        "  - pluginRef: queue-scorer\n  - {pluginRef: queue-scorer, weight: 2}\n"
    )
    assert config.profiles[0].scorers == (WeightedPlugin("queue-scorer"), WeightedPlugin("queue-scorer", 2.0))
    assert len(notices(config)) == 1


@pytest.mark.parametrize(
    ("gate", "notice"),
    [
        ("flowControl", ""),
        ("flowControl=false", ""),
        ("dataLayer", ""),
        ("dataLayer=False", "the data layer cannot be turned off"),
        ("prepareDataPlugins=true", ""),
        ("enableLegacyMetrics", "only the current metric names are written"),
        ("haPopulateNonLeaderDatastore=false", "every replica always follows the objects"),
    ],
)
def test_a_gate_without_effect_gets_a_notice(gate: str, notice: str) -> None:
    config = load(f"plugins: [{{type: queue-scorer}}]\nfeatureGates: ['{gate}']\n")

    assert [found.text for found in config.notices] == ([f"no effect: {notice}"] if notice else [])


def test_declared_metrics_plugins_count_without_being_listed_as_sources() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n- {type: metrics-data-source, name: s, parameters: {port: 9100}}\n"
        "- {type: core-metrics-extractor, name: e, parameters: {defaultEngine: mine}}\n"
    )
    assert config.metrics is not None
    assert config.metrics.source == MetricsDataSourceParameters(port=9100)
    assert config.metrics.extractor == CoreMetricsExtractorParameters(default_engine="mine")
    assert notices(config) == [
        (
            "epp.yaml:6: plugins[2].parameters.defaultEngine: the metric names of 'mine' are not known, "
            "vLLM's are used; describe it in engineConfigs"
        )
    ]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton", "described"])
def test_an_engine_that_is_known_or_described_needs_no_notice(engine: str) -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n- type: core-metrics-extractor\n"
        f"  parameters:\n    defaultEngine: {engine}\n    engineConfigs:\n    - name: described\n"
    )
    assert notices(config) == []


def test_parameters_that_change_nothing_yet_get_a_notice_at_any_depth() -> None:
    config = load(
        "plugins:\n- {type: active-request-scorer, parameters: {requestTimeout: 2m}}\n"
        "- type: core-metrics-extractor\n"
        "  parameters: {engineConfigs: [{name: vllm, customMetrics: [{attributeKey: a, metricSpec: b, "
        "optional: true}]}]}\n"
    )
    assert notices(config) == [
        (
            "epp.yaml:4: plugins[0].parameters.requestTimeout: no effect: a request counts until it is over, "
            "nothing expires"
        ),
        (
            "epp.yaml:6: plugins[1].parameters.engineConfigs[0].customMetrics[0].optional: no effect: "
            "a page may lack any metric"
        ),
    ]


def test_a_second_metrics_source_has_no_effect() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n"
        "- {type: metrics-data-source, name: a}\n- {type: metrics-data-source, name: b}\n"
        "dataLayer:\n  sources: [{pluginRef: a}, {pluginRef: b}]\n"
    )
    assert notices(config) == ["epp.yaml:8: dataLayer.sources[1]: no effect: 'a' is scraped already"]


def test_nothing_is_scraped_without_defaults_and_sources() -> None:
    config = load("plugins:\n- type: queue-scorer\ndataLayer:\n  injectDefaults: false\n")

    assert config.metrics is None
    assert "nothing is scraped" in notices(config)[0]


def test_the_detector_is_found_by_its_type() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n"
        "- {type: utilization-detector, name: full, parameters: {queueDepthThreshold: 9}}\n"
    )
    assert config.saturation == UtilizationDetectorParameters(queue_depth_threshold=9)


def test_the_default_detector_need_not_be_declared() -> None:
    config = load("plugins:\n- type: queue-scorer\nsaturationDetector: {pluginRef: utilization-detector}\n")

    assert config.saturation == UtilizationDetectorParameters()


def test_the_detector_is_a_filter_too() -> None:
    config = load("plugins:\n- type: queue-scorer\n- {type: utilization-detector, parameters: {headroom: 0.2}}\n")

    assert config.saturation.headroom == 0.2
    assert config.profiles[0].filters == ("utilization-detector",)
    assert notices(config) == []


def test_the_deprecated_parser_section() -> None:
    config = load("plugins:\n- type: queue-scorer\n- type: openai-parser\nparser: {pluginRef: openai-parser}\n")

    assert config.parsers == ("openai-parser",)


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n"])
def test_an_empty_file_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^epp\.yaml: there is no EndpointPickerConfig in it"):
        load_config(text, "epp.yaml", CATALOGUE)


def test_a_mistake_says_everything_about_itself() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("plugins:\n- type: queue-scorr\n")

    (mistake,) = caught.value.mistakes
    assert (mistake.source, mistake.line, mistake.field) == ("epp.yaml", 4, "plugins[0].type")
    assert (mistake.problem, mistake.suggestion) == (
        "there is no plugin type 'queue-scorr'",
        "did you mean 'queue-scorer'?",
    )


def test_experimental_plugins_get_a_notice_or_are_a_mistake_where_they_are_not_allowed() -> None:
    text = f"{HEAD}plugins:\n- type: session-affinity-scorer\n"
    (notice,) = load_config(text, "epp.yaml", CATALOGUE).notices
    assert notice.text == "session-affinity-scorer is experimental"
    with pytest.raises(ConfigurationError, match=r"epp.yaml:4: .*experimental plugins are not allowed"):
        load_config(text, "epp.yaml", CATALOGUE, allow_experimental=False)
