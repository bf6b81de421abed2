import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.config.durations import UNITS_S, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("+5s", 5.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("100ns", 1e-7),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("3μs", 3e-6),
        ("1h2m3s4ms", 3723.004),
    ],
)
def test_reads_what_go_writes(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-1s", "1d", "1.2.3s", "5S", "1m30", "٣s", "9" * 200 + "s"])
def test_refuses_what_go_refuses_and_negative_ones(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 200ms"):
        parse_duration(text)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS_S))), min_size=1, max_size=6))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(number * UNITS_S[unit] for number, unit in parts))
