from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.short_id import LONGEST, short_id


def test_ordinary_identifiers_stay_as_they_are() -> None:
    assert short_id("tenant-a") == "tenant-a"
    assert short_id("x" * LONGEST) == "x" * LONGEST


def test_long_ones_are_told_apart_by_what_is_cut_off() -> None:
    one, other = (short_id("tenant " * 100_000 + name) for name in ("one", "other"))
    assert one != other
    assert one == short_id("tenant " * 100_000 + "one")
    assert one.startswith("tenant tenant")


@given(st.text(max_size=600))
def test_never_longer_than_the_limit(text: str) -> None:
    assert len(short_id(text)) <= LONGEST
