"""The priority of a request: header, model, body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.objective import InferenceObjective
from epp.core.domain.request import InferenceRequest
from epp.core.routing.priority import BodyPriority, PriorityPolicy, header_value, resolve_priority

OBJECTIVES = {
    name: InferenceObjective("default", name, "pool", priority)
    for name, priority in {"gold": 500, "batch": -5, "food-review": 10, "zero": 0}.items()
}
GATEWAY, LLM_D = "x-gateway-inference-objective", "x-llm-d-inference-objective"


def priority(
    *, headers: dict[str, str] | None = None, model: str = "llama", claimed: int | None = None, **policy: object
) -> int:
    request = InferenceRequest("r", headers=headers or {}, model=model, claimed_priority=claimed)
    return resolve_priority(request, OBJECTIVES, PriorityPolicy(**policy))  # type: ignore[arg-type]  # test shorthand


def test_without_anything_it_is_zero() -> None:
    assert priority() == 0


@pytest.mark.parametrize("header", [GATEWAY, LLM_D])
def test_a_header_names_an_objective(header: str) -> None:
    assert priority(headers={header: "gold"}) == 500
    assert priority(headers={header: "batch"}) == -5


def test_a_header_beats_model_and_body_even_when_nobody_knows_its_name() -> None:
    assert priority(headers={GATEWAY: "batch"}, model="food-review", claimed=50) == -5
    assert priority(headers={GATEWAY: "unknown"}, model="food-review", claimed=50) == 0


def test_an_empty_header_is_no_header() -> None:
    assert priority(headers={GATEWAY: ""}, model="food-review") == 10
    assert priority(headers={LLM_D: "", GATEWAY: "gold"}) == 500


def test_a_model_that_is_an_objective_beats_the_body() -> None:
    assert priority(model="food-review", claimed=50) == 10
    assert priority(model="zero", claimed=50) == 0


@pytest.mark.parametrize(
    ("body", "claimed", "expected"),
    [
        (BodyPriority.LARGER_FIRST, 7, 7),
        (BodyPriority.LARGER_FIRST, -7, -7),
        (BodyPriority.LARGER_FIRST, 1000, 100),
        (BodyPriority.LARGER_FIRST, -1000, -100),
        (BodyPriority.VLLM, 7, -7),
        (BodyPriority.VLLM, -7, 7),
        (BodyPriority.VLLM, -1000, 100),
        (BodyPriority.OFF, 7, 0),
        (BodyPriority.LARGER_FIRST, 0, 0),
    ],
)
def test_what_a_number_in_the_body_means(body: BodyPriority, claimed: int, expected: int) -> None:
    assert priority(claimed=claimed, body=body) == expected


def test_the_limits_of_claims_are_configurable_and_bind_no_objective() -> None:
    assert priority(claimed=7, lowest=-1, highest=5) == 5
    assert priority(claimed=-7, lowest=-1, highest=5) == -1
    assert priority(headers={GATEWAY: "gold"}, lowest=-1, highest=5) == 500


@given(st.sampled_from(["", "gold", "batch", "unknown"]), st.sampled_from(["llama", "zero"]), st.integers())
def test_a_client_never_beats_what_the_operator_defined(header: str, model: str, claimed: int) -> None:
    headers = {GATEWAY: header} if header else {}
    found = priority(headers=headers, model=model, claimed=claimed)
    if header or model == "zero":
        assert found == priority(headers=headers, model=model, claimed=None)
    else:
        assert -100 <= found <= 100


def test_header_value_takes_the_first_that_is_not_empty() -> None:
    assert header_value({"b": "2", "a": "1"}, ("a", "b")) == "1"
    assert header_value({"b": "2", "a": ""}, ("a", "b")) == "2"
    assert header_value({}, ("a", "b")) == ""
