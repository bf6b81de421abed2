"""The example of docs/model-rewrites.md does what the page says."""

import re
from pathlib import Path
from random import Random

import pytest

from epp.core.domain.request import InferenceRequest, ModelField
from epp.core.routing.model_rewrite import TARGET_MODEL_HEADERS, rewritten
from epp.core.state.rewrite_table import RewriteTable
from tests.support.loaded_objects import loaded_objects
from tests.support.object_yaml import pool_yaml

PAGE = (Path(__file__).parents[3] / "docs" / "model-rewrites.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BASE = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture
def table(tmp_path: Path) -> RewriteTable:
    (example,) = EXAMPLE.findall(PAGE)
    (tmp_path / "rewrites.yaml").write_text(example)
    (tmp_path / "pool.yaml").write_text(pool_yaml("vllm-llama3.1-8b-instruct", namespace="default"))
    return RewriteTable.of(loaded_objects(tmp_path).rewrites)


@pytest.mark.parametrize(
    ("model", "targets", "name"),
    [
        ("food-review", {"food-review-v1", "food-review-v2"}, "food-review"),
        ("gpt-4o-mini", {BASE}, "food-review"),
        ("gpt-3.5-turbo", {BASE}, "food-review"),
        ("anything", {BASE}, "everything-else"),
        ("", {BASE}, "everything-else"),
    ],
)
def test_the_example(table: RewriteTable, model: str, targets: set[str], name: str) -> None:
    request = InferenceRequest("r", model=model, model_field=ModelField.REQUIRED)
    rng = Random(1)
    decided = [rewritten(request, table, rng) for _ in range(200)]
    assert {each.target_model for each in decided} == targets
    assert {each.model_rewrite for each in decided} == {name}


def test_the_headers_are_those_of_the_code() -> None:
    assert all(f"`{header}`" in PAGE for header in TARGET_MODEL_HEADERS)
