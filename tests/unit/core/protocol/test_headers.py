"""Headers that mean something to the picker."""

import pytest

from epp.core.protocol.headers import CONTROL_HEADERS, DESTINATION, control_headers_in, whole_number


def test_control_headers_are_found_among_others() -> None:
    sent = {
        "x-gateway-inference-objective": "gold",
        "content-type": "application/json",
        "x-llm-d-model-name-rewrite": "",
    }
    assert control_headers_in(sent) == ("x-gateway-inference-objective", "x-llm-d-model-name-rewrite")
    assert control_headers_in({}) == ()


def test_the_destination_is_overwritten_rather_than_removed() -> None:
    """Removing and setting one header in the same mutation would leave its fate to the order that Envoy applies."""
    assert DESTINATION not in CONTROL_HEADERS


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("200", 200),
        ("0026", 26),
        ("9" * 18, int("9" * 18)),
        ("9" * 19, None),
        ("9" * 100_000, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1 ", None),
        ("1.0", None),
        ("²", None),
        ("٣", None),
        ("12,12", None),
    ],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text) == number
