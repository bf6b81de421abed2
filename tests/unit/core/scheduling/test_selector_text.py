"""Label selectors as text, as Kubernetes writes them."""

import pytest

from epp.core.scheduling.selector_text import parse_selector

LABELS = {"app": "vllm", "tier": "gold", "example.com/name": "my-set"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        (" ", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("app=vllm", True),
        ("app == vllm", True),
        ("app=other", False),
        ("app!=vllm", False),
        ("other!=x", True),
        ("other=", False),
        ("tier in (gold, silver)", True),
        ("tier in (silver)", False),
        ("tier notin (silver,bronze)", True),
        ("other notin (x)", True),
        ("tier notin (gold)", False),
        ("app=vllm,tier in (gold,silver),!draining, example.com/name=my-set", True),
        ("app=vllm,tier in (silver,bronze)", False),
    ],
)
def test_what_is_selected(text: str, selects: bool) -> None:
    assert parse_selector(text).selects(LABELS) is selects


@pytest.mark.parametrize("text", ["app=vllm,", "=x", "app in gold", "app in (a", "app like (a)", "a b", "!!a", "a=b=c"])
def test_what_is_no_selector(text: str) -> None:
    with pytest.raises(ValueError, match="is no part of a label selector"):
        parse_selector(text)
