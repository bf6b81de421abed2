"""A configuration file holds one mapping."""

import pytest

from epp.core.config.mistakes import ConfigurationError
from epp.core.config.single_document import single_document


def test_the_document() -> None:
    assert single_document("a: 1", "x.yaml", "Thing").value == {"a": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml: there is no Thing in it (it is empty)"),
        ("- a\n", "x.yaml:1: expected a mapping, the fields of Thing"),
        ("a: 1\n---\nb: 2\n", "x.yaml:3: a second document begins here; a file holds one Thing"),
    ],
)
def test_anything_else_is_a_mistake(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        single_document(text, "x.yaml", "Thing")
    assert str(refused.value) == message
