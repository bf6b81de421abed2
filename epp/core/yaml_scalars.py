"""What a YAML scalar means: the JSON types, read as Kubernetes reads them."""

import re

TAG = "tag:yaml.org,2002:"
Scalar = str | int | float | bool | None

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {
    spelling: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(?:0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o?[0-7][0-7_]*|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"\A([-+]?)0(?=[0-7]+\Z)")
_LONGEST_NUMBER = 100
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def plain_value(text: str) -> Scalar:
    """A scalar without quotes and without a tag; raises ValueError with a message for what JSON cannot say."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number; put it in quotes if it is meant as text")
    is_integer = _INTEGER.fullmatch(text)
    if not is_integer and not _FLOAT.fullmatch(text):
        return text
    number = _number(text.replace("_", ""), is_integer=bool(is_integer))
    if number is None:
        raise ValueError("the number is out of range (64 bits); put it in quotes if it is meant as text")
    return number


def tagged_value(text: str, tag: str) -> Scalar:
    """A scalar with an explicit tag; raises ValueError for tags other than the JSON types."""
    if tag in ("!", TAG + "str"):
        return text
    value = plain_value(text)
    if tag == TAG + "float" and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    meant = "null" if value is None else type(value).__name__
    if tag != TAG + meant:
        raise ValueError(f"the tag {tag!r} is not supported for {text[:40]!r}")
    return value


def _number(text: str, *, is_integer: bool) -> int | float | None:
    """None when it is out of range; `017` is octal, as in YAML 1.1."""
    if len(text) > _LONGEST_NUMBER:
        return None
    if is_integer:
        whole = int(_LEADING_ZERO.sub(r"\g<1>0o", text), 0)
        return whole if _SMALLEST <= whole <= _LARGEST else None
    number = float(text)
    return number if abs(number) != float("inf") else None
