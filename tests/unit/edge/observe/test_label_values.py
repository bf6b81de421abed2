from hypothesis import given
from hypothesis import strategies as st

from epp.edge.observe.label_values import OTHER, BoundedValues, printable


def test_first_values_are_kept_and_later_ones_are_other() -> None:
    models = BoundedValues(most_values=2)

    assert [models.value(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_known_names_have_a_place_when_all_are_taken() -> None:
    models = BoundedValues(most_values=1)
    models.value("stranger")

    models.set_known(["tuned", "base"])

    assert [models.value(name) for name in ("tuned", "base", "another")] == ["tuned", "base", OTHER]
    assert models.is_known("tuned")
    assert not models.is_known("stranger")


def test_known_names_take_no_places_from_others() -> None:
    models = BoundedValues(most_values=1)
    models.set_known(["tuned"])

    assert [models.value(name) for name in ("tuned", "first", "second")] == ["tuned", "first", OTHER]


def test_a_name_that_is_not_known_any_more_is_like_any_other() -> None:
    models = BoundedValues(most_values=1)
    models.set_known(["tuned"])
    models.value("first")

    models.set_known([])

    assert models.value("tuned") == OTHER


def test_long_known_name_is_found_by_its_cut_form() -> None:
    models = BoundedValues(most_values=0)
    models.set_known(["x" * 500])

    assert models.value("x" * 500) == "x" * 200


@given(st.text(st.characters(), max_size=300))
def test_printable_is_short_valid_utf8(raw: str) -> None:
    value = printable(raw)

    assert len(value) <= 200
    value.encode("utf-8")


@given(st.lists(st.text(max_size=3)), st.integers(0, 5))
def test_number_of_values_is_bounded(names: list[str], most_values: int) -> None:
    models = BoundedValues(most_values)

    values = {models.value(name) for name in names}

    assert len(values - {OTHER}) <= most_values


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    assert printable("m\ud800") == "m?"
