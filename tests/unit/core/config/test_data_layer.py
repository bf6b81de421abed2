"""Sources and extractors of the data layer that are there so that files load."""

import pytest

from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import MetricsSettings, PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
PRECISE = """\
plugins:
- type: endpoint-notification-source
- type: precise-prefix-cache-producer
- type: prefix-cache-scorer
dataLayer:
  sources:
  - pluginRef: endpoint-notification-source
    extractors:
    - pluginRef: precise-prefix-cache-producer
"""


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "epp.yaml", CATALOGUE)


def notices(config: PickerConfig) -> list[str]:
    return [str(notice) for notice in config.notices]


def test_a_producer_may_be_told_of_endpoints() -> None:
    config = load(PRECISE)
    assert config.producers == ("token-producer", "precise-prefix-cache-producer")
    assert notices(config) == [
        (
            "epp.yaml:4: plugins[0]: no effect: every plugin that follows the endpoints of the pool is told of them "
            "without it"
        )
    ]


def test_being_told_of_endpoints_is_no_use() -> None:
    config = load(PRECISE.replace("prefix-cache-scorer", "queue-scorer"))
    assert config.producers == ()
    assert any("nothing refers to the plugin 'precise-prefix-cache-producer'" in text for text in notices(config))


def test_who_is_told_must_be_declared() -> None:
    with pytest.raises(ConfigurationError, match=r"epp\.yaml:11: .* no plugin is named 'precise'") as caught:
        load(PRECISE.replace("    - pluginRef: precise-prefix-cache-producer", "    - pluginRef: precise"))
    assert len(caught.value.mistakes) == 1


def test_model_lists_load_in_both_forms_of_the_section_and_metrics_are_scraped_all_the_same() -> None:
    text = (
        "plugins:\n- type: queue-scorer\n- {type: models-data-source, parameters: {scheme: https}}\n"
        "- {type: models-data-extractor, parameters: {whatever: 1}}\n"
        "dataLayer:\n  sources: [{pluginRef: models-data-source, extractors: [{pluginRef: models-data-extractor}]}]\n"
    )
    for config in (load(text), load(text.replace("dataLayer:", "data:"))):
        assert config.metrics == MetricsSettings()
        assert notices(config) == [
            "epp.yaml:6: plugins[2].parameters: models-data-extractor takes no parameters; these have no effect",
            "epp.yaml:5: plugins[1]: no effect: no plugin looks at the model lists of the endpoints",
            "epp.yaml:6: plugins[2]: no effect: no plugin looks at the model lists of the endpoints",
        ]


def test_objects_of_other_kinds_are_not_followed() -> None:
    config = load(
        "plugins:\n- type: queue-scorer\n"
        "- {type: k8s-notification-source, parameters: {group: example.com, version: v1, kind: Node}}\n"
        "dataLayer: {sources: [{pluginRef: k8s-notification-source}]}\n"
    )
    assert notices(config) == [
        (
            "epp.yaml:5: plugins[1]: no effect: pools, pods, objectives and rewrites are followed without it, "
            "other objects not"
        )
    ]
