"""The plugin configurations in the chart's ConfigMap: what the picker makes of them."""

import pytest

from epp.core.config.built_in_policies import DEFAULT_POLICY, POLICIES, REFERENCE_POLICY
from epp.core.config.load import load_config
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE
from tests.support.chart_golden import CASES
from tests.support.helm_chart import Rendering, of_version, with_values

FILES = ("default-plugins.yaml", "reference-plugins.yaml")


def loaded(rendering: Rendering, name: str) -> PickerConfig:
    return load_config(rendering.plugin_files[name], name, CATALOGUE)


@pytest.mark.parametrize(("name", "policy"), [(FILES[0], DEFAULT_POLICY), (FILES[1], REFERENCE_POLICY)])
def test_the_files_are_the_built_in_policies(name: str, policy: str) -> None:
    assert with_values().plugin_files[name] == POLICIES[policy]


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_every_file_can_be_loaded_and_the_chosen_one_is_there(version: str, provider: str) -> None:
    rendering = of_version(version, provider)
    for name in rendering.plugin_files:
        loaded(rendering, name)
    assert rendering.flags["config-file"].removeprefix("/config/") in rendering.plugin_files
    assert {"name": "plugins-config-volume", "mountPath": "/config", "readOnly": True} in rendering.picker[
        "volumeMounts"
    ]


@pytest.mark.parametrize("engine", ["sglang", "triton-tensorrt-llm", "trtllm-serve", "triton"])
@pytest.mark.parametrize("name", FILES)
def test_the_type_of_the_model_servers_is_the_default_engine(name: str, engine: str) -> None:
    config = loaded(with_values(f"inferencePool.modelServerType={engine}"), name)
    assert config.metrics is not None
    assert config.metrics.extractor.default_engine == engine
    assert config.notices == ()


@pytest.mark.parametrize(
    ("settings", "parsers"),
    [
        ((), ()),
        (("modelServerProtocol=grpc",), ("vllmgrpc-parser",)),
        (("modelServerProtocol=grpc", "modelServerType=sglang"), ()),
        (("modelServerType=triton",), ("passthrough-parser",)),
        (("parser=openai-parser",), ("openai-parser",)),
        (("parser=openai-parser", "modelServerProtocol=grpc"), ("openai-parser",)),
    ],
)
def test_who_reads_the_bodies(settings: tuple[str, ...], parsers: tuple[str, ...]) -> None:
    rendering = with_values(*(f"inferencePool.{each}" for each in settings))
    for name in FILES:
        assert loaded(rendering, name).parsers == parsers


def test_a_custom_file_is_added_and_may_take_the_place_of_another() -> None:
    rendering = of_version("v1.0.0", "none")
    assert rendering.flags["config-file"] == "/config/queues.yaml"
    assert set(rendering.plugin_files) == {*FILES, "queues.yaml"}
    custom = r"inferenceExtension.pluginsCustomConfig.default-plugins\.yaml"
    assert with_values(f"{custom}=mine").plugin_files["default-plugins.yaml"] == "mine"
