import pytest

from epp.core.config.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("5000", 5000),
        ("1G", 10**9),
        ("10Mi", 10 * 2**20),
        ("1.5Gi", 3 * 2**29),
        ("5k", 5000),
        ("1e3", 1000),
        ("1.5E2", 150),
        ("2E", 2 * 10**18),
        ("100m", 1),
        (".5k", 500),
        ("+7", 7),
        ("1500m", 2),
    ],
)
def test_reads_kubernetes_quantities_and_rounds_up(text: str, number: int) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "G", "-1", "1 G", "1e", "1ee3", "0x10", "1e999", "9" * 40])
def test_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity|has an unknown suffix"):
        parse_quantity(text)


def test_an_unknown_suffix_is_named() -> None:
    with pytest.raises(ValueError, match="'1Q' has an unknown suffix; known are n, u, m, k, M"):
        parse_quantity("1Q")
