"""Expressions over a few numbers: what they come to, and what is no expression."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.cel import CelError, compile_expression

FIELDS = {"a": 10.0, "b": 4.0, "c.d": 2.5}
KNOWN = frozenset((*FIELDS, "missing"))


def value_of(text: str) -> int | float | bool:
    return compile_expression(text, "usage", KNOWN)(FIELDS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("2.5", 2.5),
        ("1.5e2", 150.0),
        ("true", True),
        ("usage.a", 10.0),
        ("usage.c.d", 2.5),
        ("usage.a + usage.b", 14.0),
        ("usage.a+3*usage.b", 22.0),
        ("(usage.a + 3) * usage.b", 52.0),
        ("usage.a - usage.b - 1", 5.0),
        ("usage.a / usage.b", 2.5),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("usage.a % 4", 2.0),
        ("7 / 2.0", 3.5),
        ("-usage.a", -10.0),
        ("--1", 1),
        ("!true", False),
        ("!!true", True),
        ("usage.a > usage.b", True),
        ("usage.a == 10", True),
        ("usage.a != 10", False),
        ("usage.a <= 9 || usage.b >= 4", True),
        ("usage.a < 9 && usage.b > 4", False),
        ("true || false && false", True),
        ("has(usage.a)", True),
        ("has(usage.missing)", False),
        ("has(usage.missing) ? usage.missing : 7", 7),
        ("false ? 1 : true ? 2 : 3", 2),
        ("int(usage.c.d)", 2),
        ("double(3)", 3.0),
        ("\n usage.a\n+ 1 ", 11.0),
        ("usage.missing > 1 || true", True),
        ("false && usage.missing > 1", False),
        ("usage.missing > 1 && false", False),
    ],
)
def test_what_it_comes_to(text: str, value: float) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "usage.missing",
        "1 / 0",
        "1.0 / 0",
        "1 % 0",
        "1.5 % 0.0",
        "true + 1",
        "-true",
        "!1",
        "1 ? 2 : 3",
        "1 && true",
        "1 < true",
        "int(true)",
        "usage.missing > 1 || false",
        "int(1e308 * 1e308)",
        f"double({'9' * 400})",
    ],
)
def test_what_has_no_value(text: str) -> None:
    with pytest.raises(CelError):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "ends too early"),
        ("1 +", "ends too early"),
        ("1 2", "unexpected '2'"),
        ("(1", "expected '\\)', found the end"),
        ("true ? 1", "expected ':', found the end"),
        ("usage.x", "'usage' has no field 'x'; there are a, b, c.d, missing"),
        ("usage", "has no field ''"),
        ("usage.", "has no field ''"),
        ("request.a", "there is no 'request' here, only 'usage'"),
        ("has(1)", "there is no '1' here"),
        ("size(usage.a)", "there is no 'size' here"),
        ("'text'", "is nothing that can be read here"),
        ("usage.a ** 2", "there is no '\\*' here"),
        ("(" * 100 + "1" + ")" * 100, "words and signs|nested too deeply"),
        ("(" * 40 + "1" + ")" * 40, "nested too deeply"),
        ("1+" * 500 + "1", "words and signs"),
        ("1" * 3000, "characters"),
    ],
)
def test_what_is_no_expression(text: str, says: str) -> None:
    with pytest.raises(CelError, match=says):
        compile_expression(text, "usage", KNOWN)


WORDS = ("(", ")", "+", "-", "*", "/", "%", "!", "<", "==", "?", ":", "&&", "1", "2.5", "true", "usage.a", "has")


@settings(deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_words_are_a_value_or_an_error(words: list[str]) -> None:
    try:
        found = value_of(" ".join(words))
    except CelError:
        return
    assert isinstance(found, int | float)
