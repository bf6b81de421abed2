"""Which attributes a configuration extracts, and who reads them."""

import json

import pytest

from epp.core.config.attributes import BUILT_IN_ATTRIBUTES, MOST_CUSTOM_ATTRIBUTES
from epp.core.config.describe import describe
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "epp.yaml", CATALOGUE)


def extractor(**engines: tuple[str, ...]) -> str:
    """Extracts the attributes `engines` from metrics `m`."""
    configs = [
        {"name": name, "customMetrics": [{"attributeKey": key, "metricSpec": "m"} for key in keys]}
        for name, keys in engines.items()
    ]
    return f"- {{type: core-metrics-extractor, parameters: {{engineConfigs: {json.dumps(configs)}}}}}\n"


def scorer(key: str) -> str:
    return (
        f"- {{type: endpoint-attribute-scorer, parameters: {{attributeKey: {key}, "
        "algorithm: {type: linear_lower_is_better}}}\n"
    )


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("key", BUILT_IN_ATTRIBUTES)
def test_what_the_picker_has_by_itself_needs_no_extractor(key: str) -> None:
    assert load("plugins:\n" + scorer(key)).attributes_read == ()


def test_engines_may_share_an_attribute() -> None:
    config = load("plugins:\n" + extractor(vllm=("depth", "heat"), sglang=("depth",)) + scorer("depth"))
    assert config.metrics is not None
    assert config.metrics.custom_attributes == ("depth", "heat")
    assert config.attributes_read == ("depth",)


def test_what_is_extracted_is_described() -> None:
    lines = describe(load("plugins:\n" + extractor(vllm=("depth",), sglang=("depth",)) + scorer("depth")))
    assert lines[-4:-1] == [
        "  metrics: http://<endpoint>:<endpoint port>/metrics, engine vllm",
        "    attribute depth: m of engine vllm",
        "    attribute depth: m of engine sglang",
    ]


def test_there_may_be_so_many_of_them_and_no_more() -> None:
    keys = tuple(f"k{number}" for number in range(MOST_CUSTOM_ATTRIBUTES))
    config = load("plugins:\n- type: queue-scorer\n" + extractor(vllm=keys, sglang=keys))
    assert config.metrics is not None
    assert config.metrics.custom_attributes == keys
    (mistake,) = mistakes("plugins:\n- type: queue-scorer\n" + extractor(vllm=keys, sglang=("one", "two")))
    assert mistake.endswith(
        "engineConfigs[1].customMetrics[0].attributeKey: there are more than 32 custom attributes"
    ), mistake


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (("KVCacheUsage",), "'KVCacheUsage' is an attribute of the picker's own (choose another name)"),
        (("a", "a"), "'a' is extracted twice from the same engine"),
    ],
)
def test_a_name_that_is_taken(keys: tuple[str, ...], problem: str) -> None:
    (mistake,) = mistakes("plugins:\n- type: queue-scorer\n" + extractor(vllm=keys))
    assert mistake.endswith(f".attributeKey: {problem}")


def test_a_misspelt_one_is_suggested() -> None:
    text = "plugins:\n" + extractor(vllm=("custom.depth",)) + scorer("custom.dept")
    assert mistakes(text) == [
        (
            "epp.yaml:5: plugins[1].parameters.attributeKey: nobody extracts the attribute 'custom.dept' "
            "(did you mean 'custom.depth'?)"
        )
    ]


def test_nobody_extracts_where_nothing_is_scraped() -> None:
    text = "plugins:\n" + extractor(vllm=("depth",)) + scorer("depth") + "dataLayer: {injectDefaults: false}\n"
    (mistake,) = mistakes(text)
    assert "plugins[1].parameters.attributeKey: nobody extracts the attribute 'depth'" in mistake
    assert "extract it: customMetrics of core-metrics-extractor" in mistake


def test_of_two_extractors_the_one_in_force_counts() -> None:
    second = extractor(vllm=("heat",)).replace("extractor,", "extractor, name: second,")
    (mistake,) = mistakes("plugins:\n" + extractor(vllm=("depth",)) + second + scorer("heat"))
    assert "nobody extracts the attribute 'heat'" in mistake
