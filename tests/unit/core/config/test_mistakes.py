import pytest

from epp.core.config.mistakes import ConfigurationError, Mistake, did_you_mean
from epp.core.domain.errors import PickerError


def test_an_error_prints_one_line_per_mistake() -> None:
    error = ConfigurationError(
        [
            Mistake("epp.yaml", 3, "plugins[0].type", "there is no plugin type 'x'", "did you mean 'y'?"),
            Mistake("epp.yaml", None, "", "it is empty"),
        ]
    )
    assert isinstance(error, PickerError)
    assert str(error).splitlines() == [
        "epp.yaml:3: plugins[0].type: there is no plugin type 'x' (did you mean 'y'?)",
        "epp.yaml: it is empty",
    ]


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("kv-cache-scorer", "did you mean 'kv-cache-utilization-scorer'?"),
        ("prefix-scorer", "did you mean 'prefix-cache-scorer'?"),
        ("Queue-Scorer", "did you mean 'queue-scorer'?"),
        ("zzz", "known: kv-cache-utilization-scorer, prefix-cache-scorer, queue-scorer"),
        ("", "known: kv-cache-utilization-scorer, prefix-cache-scorer, queue-scorer"),
    ],
)
def test_suggests_the_nearest_word(word: str, suggestion: str) -> None:
    assert did_you_mean(word, ["queue-scorer", "prefix-cache-scorer", "kv-cache-utilization-scorer"]) == suggestion


def test_suggests_nothing_when_the_list_would_be_long() -> None:
    assert did_you_mean("zzz", [f"word-{number}" for number in range(50)]) == ""
