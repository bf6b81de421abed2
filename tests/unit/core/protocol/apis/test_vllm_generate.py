"""Images and the like among the token ids of /inference/v1/generate; the rest is in test_other_apis."""

from typing import Any

import msgspec
import pytest

from epp.core.domain.request import MultimodalItem
from epp.core.protocol.apis.vllm_generate import read_generate

PLACE = {"offset": 3, "length": 4}
UNKNOWN = (MultimodalItem("", 0, 1),)


def items(**fields: Any) -> tuple[MultimodalItem, ...]:
    return read_generate(msgspec.json.encode({"token_ids": [1, 2], **fields})).multimodal


def test_items_have_a_name_and_a_place() -> None:
    features = {"mm_hashes": {"image": ["cat"]}, "mm_placeholders": {"image": [PLACE]}, "kwargs_data": {"image": [5]}}
    assert items(features=features) == (MultimodalItem("cat", 3, 4),)


@pytest.mark.parametrize("fields", [{}, {"features": None}, {"features": {}}, {"features": {"mm_placeholders": {}}}])
def test_without_items_there_are_none(fields: dict[str, Any]) -> None:
    assert items(**fields) == ()


@pytest.mark.parametrize(
    "features",
    [7, {"mm_placeholders": {"image": [PLACE]}}, {"mm_placeholders": 7}, {"mm_placeholders": {"image": [1]}}],
)
def test_items_that_cannot_be_told_are_like_no_others(features: Any) -> None:
    assert items(features=features) == UNKNOWN
