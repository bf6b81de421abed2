"""vLLMLoRAConfig: what it means, and every mistake with its line."""

import pytest

from epp.core.config.mistakes import ConfigurationError
from epp.edge.lora.configuration import Adapter, LoraConfig, Target, load_configuration

TUTORIAL = """\
vLLMLoRAConfig:
  name: vllm-llama3.1-8b-instruct
  port: 8000
  defaultBaseModel: meta-llama/Llama-3.1-8B-Instruct
  ensureExist:
    models:
    - id: food-review
      source: Kawon/llama3.1-food-finetune_v14_r8
    - id: cad-fabricator
      source: redcathode/fabricator
"""
BOTH = """\
vLLMLoRAConfig:
  host: vllm.example
  port: 8001
  defaultBaseModel: base
  ensureExist:
    models:
    - {id: v1, source: repo/v1}
    - {id: v3, source: repo/v3}
    - {id: own, source: repo/own, base-model: other}
  ensureNotExist:
    models:
    - {id: v2, source: repo/v2}
    - {id: v3, source: repo/v3}
    - {id: gone}
"""


def load(text: str, *, strict: bool = True) -> LoraConfig:
    return load_configuration(text, "lora.yaml", strict=strict)


def mistakes(text: str, *, strict: bool = True) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load(text, strict=strict)
    return str(refused.value).splitlines()


def notices(text: str, *, strict: bool = True) -> list[str]:
    return [str(notice) for notice in load(text, strict=strict).notices]


def test_the_config_map_of_the_tutorial() -> None:
    config = load(TUTORIAL)
    base = "meta-llama/Llama-3.1-8B-Instruct"
    assert config.target == Target("localhost", 8000)
    assert config.name == "vllm-llama3.1-8b-instruct"
    assert config.wanted == (
        Adapter("food-review", "Kawon/llama3.1-food-finetune_v14_r8", base),
        Adapter("cad-fabricator", "redcathode/fabricator", base),
    )
    assert (config.unwanted, config.contested, config.notices) == ((), (), ())


def test_both_lists_and_who_is_in_both() -> None:
    config = load(BOTH)
    assert config.target == Target("vllm.example", 8001)
    assert config.wanted == (Adapter("v1", "repo/v1", "base"), Adapter("own", "repo/own", "other"))
    assert config.unwanted == ("v2", "gone")
    assert config.contested == ("v3",)


@pytest.mark.parametrize("text", ["vLLMLoRAConfig:", "vLLMLoRAConfig: {ensureExist: {models: }, port: }"])
def test_defaults(text: str) -> None:
    config = load(text)
    assert config.target == Target("localhost", 8000)
    assert (config.name, config.wanted, config.unwanted) == ("", (), ())


def test_json_is_taken_too() -> None:
    assert load('{"vLLMLoRAConfig": {"ensureExist": {"models": [{"id": "a", "source": "b"}]}}}').wanted == (
        Adapter("a", "b"),
    )


@pytest.mark.parametrize(
    ("host", "url"), [("::1", "http://[::1]:8000"), ("[::1]", "http://[::1]:8000"), ("vllm-0", "http://vllm-0:8000")]
)
def test_the_url_of_the_model_server(host: str, url: str) -> None:
    assert load(f"vLLMLoRAConfig: {{host: '{host}'}}").target.url == url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "vLLMLoRAConfg: {}",
            ["lora.yaml:1: the required field 'vLLMLoRAConfig' is missing (did you mean 'vLLMLoRAConfig'?)"],
        ),
        (
            f"apiVersion: v1\nkind: ConfigMap\ndata: {{configmap.yaml: {TUTORIAL!r}}}\n",
            [
                (
                    "lora.yaml:2: kind: this is a ConfigMap; the syncer reads the text that is in its `data` "
                    "(mount it as a volume and name the file below it)"
                )
            ],
        ),
        ("vLLMLoRAConfig: [a]", ["lora.yaml:1: vLLMLoRAConfig: expected a mapping"]),
        (
            "vLLMLoRAConfig:\n  port: 70000\n",
            ["lora.yaml:2: vLLMLoRAConfig.port: 70000 is not a TCP port (1 to 65535)"],
        ),
        ('vLLMLoRAConfig:\n  port: "8000"\n', ["lora.yaml:2: vLLMLoRAConfig.port: expected int, got str"]),
        (
            "vLLMLoRAConfig:\n  host: http://localhost\n",
            ["lora.yaml:2: vLLMLoRAConfig.host: 'http://localhost' is neither a host name nor an IP address"],
        ),
        (
            "vLLMLoRAConfig:\n  ensureExist:\n  - id: a\n",
            ["lora.yaml:2: vLLMLoRAConfig.ensureExist: expected a mapping with the field 'models'"],
        ),
        (
            "vLLMLoRAConfig:\n  ensureExist: {}\n",
            ["lora.yaml:2: vLLMLoRAConfig.ensureExist: the required field 'models' is missing"],
        ),
        (
            "vLLMLoRAConfig:\n  ensureExist:\n    models: a\n",
            ["lora.yaml:3: vLLMLoRAConfig.ensureExist.models: expected a list"],
        ),
        (
            TUTORIAL.replace("      source: Kawon", "      sauce: Kawon").replace("id: cad-fabricator", "id: ''"),
            [
                "lora.yaml:7: vLLMLoRAConfig.ensureExist.models[0]: the required field 'source' is missing",
                "lora.yaml:9: vLLMLoRAConfig.ensureExist.models[1].id: is empty",
            ],
        ),
        (
            TUTORIAL.replace("cad-fabricator", "food-review"),
            [
                (
                    "lora.yaml:9: vLLMLoRAConfig.ensureExist.models[1]: the adapter 'food-review' is there already, "
                    "with another source or base model"
                )
            ],
        ),
    ],
)
def test_every_mistake_is_named_with_line_and_field(text: str, expected: list[str]) -> None:
    assert mistakes(text) == expected


def test_yaml_that_is_none() -> None:
    assert mistakes("a: [")[0].startswith("lora.yaml:1: not valid YAML")


def test_unknown_fields_are_notices() -> None:
    text = TUTORIAL.replace("  name:", "  nmae:") + "      basemodel: x\nother: 1\n"
    assert notices(text) == [
        "lora.yaml:2: vLLMLoRAConfig.nmae: unknown field, has no effect (did you mean 'name'?)",
        (
            "lora.yaml:11: vLLMLoRAConfig.ensureExist.models[1].basemodel: unknown field, has no effect "
            "(did you mean 'base-model'?)"
        ),
        "lora.yaml:12: other: unknown field, has no effect (known: vLLMLoRAConfig)",
    ]


def test_what_old_documentation_says_gets_advice() -> None:
    assert notices(TUTORIAL + "      toRemove: true\n") == [
        (
            "lora.yaml:11: vLLMLoRAConfig.ensureExist.models[1].toRemove: has no effect; to have the adapter unloaded, "
            "list it in ensureNotExist.models instead of ensureExist.models"
        )
    ]


def test_the_same_entry_twice_is_a_notice() -> None:
    text = "vLLMLoRAConfig:\n  ensureExist:\n    models:\n    - {id: a, source: b}\n    - {id: a, source: b}\n"
    assert load(text).wanted == (Adapter("a", "b"),)
    assert notices(text) == ["lora.yaml:5: vLLMLoRAConfig.ensureExist.models[1]: the adapter 'a' is listed twice"]


def test_without_validation_entries_with_mistakes_are_left_out() -> None:
    text = TUTORIAL.replace("source: Kawon", "sauce: Kawon")
    config = load(text, strict=False)
    assert [adapter.id for adapter in config.wanted] == ["cad-fabricator"]
    left_out, _ = notices(text, strict=False)
    assert left_out.startswith("lora.yaml:7: vLLMLoRAConfig.ensureExist.models[0]: the required field 'source' is")
    assert left_out.endswith("; the entry is left out")
    assert mistakes("vLLMLoRAConfig: {port: 0}", strict=False), "nobody knows whom to ask"
