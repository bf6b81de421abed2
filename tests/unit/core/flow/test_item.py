"""What flow control reads of a request."""

import math

import pytest

from epp.core.domain.request import InferenceRequest
from epp.core.flow.item import FlowItem, FlowKey


def item(**headers: str) -> FlowItem:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = InferenceRequest("r", headers=names, priority=3, fairness_id="tenant", body_bytes=17)
    return FlowItem.of(request, received_at=100.0)


def test_flow_and_size() -> None:
    assert (item().key, item().body_bytes) == (FlowKey("tenant", 3), 17)
    assert item() != item(), "two requests are never the same, whatever they say"


@pytest.mark.parametrize(
    ("headers", "slo_s"),
    [
        ({}, None),
        ({"x_slo_ttft_ms": "250"}, 0.25),
        ({"x_slo_ttft_ms": " 0 "}, 0.0),
        ({"x_slo_ttft_ms": "250", "x_llm_d_slo_ttft_ms": "100"}, 0.1),
        ({"x_slo_ttft_ms": "-1"}, None),
        ({"x_slo_ttft_ms": "1.5"}, None),
        ({"x_slo_ttft_ms": "soon"}, None),
        ({"x_slo_ttft_ms": ""}, None),
        ({"x_slo_ttft_ms": "\u0661"}, None),
        ({"x_slo_ttft_ms": "9" * 13}, None),
        ({"x_slo_ttft_ms": "9" * 400}, None),
    ],
)
def test_the_wanted_first_token(headers: dict[str, str], slo_s: float | None) -> None:
    assert item(**headers).slo_ttft_s == slo_s


@pytest.mark.parametrize(
    ("headers", "deadline"),
    [
        ({}, math.inf),
        ({"x_llm_d_request_ttl_ms": "1500"}, 101.5),
        ({"x_gateway_request_ttl_ms": "0"}, 100.0),
        ({"x_gateway_request_ttl_ms": "never"}, math.inf),
    ],
)
def test_its_own_deadline_counts_from_its_arrival(headers: dict[str, str], deadline: float) -> None:
    assert item(**headers).deadline == deadline
