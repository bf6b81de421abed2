"""request-attribute-reporter: which number is told."""

from typing import Any

import msgspec
import pytest

from epp.core.domain.decision import MetadataNumber
from epp.core.domain.ports import TokenUsage
from epp.core.scheduling.reporters.request_attribute import (
    RequestAttributeReporter,
    RequestAttributeReporterParameters,
)

USAGE = TokenUsage(10, 4, 3)


def parameters(expression: str, condition: str = "", **key: str) -> RequestAttributeReporterParameters:
    attribute = {"key": {"name": "cost", **key}, "expression": expression, "condition": condition}
    return msgspec.convert({"attributes": [attribute]}, RequestAttributeReporterParameters)


def told(expression: str, condition: str = "", usage: TokenUsage = USAGE) -> int | None:
    found = RequestAttributeReporter(parameters(expression, condition)).report(usage)
    return None if found is None else found.number


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("usage.prompt_tokens + 3 * usage.completion_tokens", 22),
        ("usage.total_tokens", 14),
        ("usage.prompt_tokens_details.cached_tokens", 3),
        ("usage.prompt_tokens / 4", 2),
        ("0 - usage.prompt_tokens", -10),
        ("usage.prompt_tokens / 100", None),
        ("0", None),
        ("true", None),
        ("usage.prompt_tokens / 0", None),
        ("1e300 * 1e300", None),
        ("1e17", None),
    ],
)
def test_the_number_is_cut_and_0_is_not_told(expression: str, number: int | None) -> None:
    assert told(expression) == number


def test_the_condition_decides() -> None:
    assert told("usage.total_tokens", "usage.total_tokens > 13") == 14
    assert told("usage.total_tokens", "usage.total_tokens > 14") is None
    assert told("usage.total_tokens", "1") is None


def test_without_a_needed_field_nothing_is_told() -> None:
    assert told("usage.completion_tokens", usage=TokenUsage(10)) is None
    assert told("usage.total_tokens", usage=TokenUsage(10)) == 10
    assert told("usage.total_tokens", usage=TokenUsage()) is None
    assert told("has(usage.completion_tokens) ? 1 : 2", usage=TokenUsage(10)) == 2


def test_where_it_stands() -> None:
    found = RequestAttributeReporter(parameters("1")).report(USAGE)
    assert found == MetadataNumber("envoy.lb", "cost", 1)
    found = RequestAttributeReporter(parameters("1", namespace="billing")).report(USAGE)
    assert found == MetadataNumber("billing", "cost", 1)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ([], "exactly one entry"),
        ([{"key": {"name": "a"}, "expression": "1"}] * 2, "exactly one entry"),
        ([{"key": {"name": ""}, "expression": "1"}], "length >= 1"),
        ([{"key": {"name": "a"}, "expression": "usage.cost"}], "'usage' has no field 'cost'"),
        ([{"key": {"name": "a"}, "expression": "1", "condition": "size(x)"}], "there is no 'size' here"),
    ],
)
def test_parameters_that_cannot_be(attributes: list[Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert({"attributes": attributes}, RequestAttributeReporterParameters)
