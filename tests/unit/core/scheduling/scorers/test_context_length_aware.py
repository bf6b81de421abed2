import pytest

from epp.core.scheduling.scorers.context_length_aware import ContextLengthAware, ContextLengthAwareParameters
from tests.support.small_pool import SmallPool, text_request

LABEL = "llm-d.ai/context-length-range"


def prompt_of(tokens: int) -> str:
    return "x" * (4 * tokens)


@pytest.mark.parametrize(
    ("label", "tokens", "score"),
    [
        ("0-2000", 1000, 0.3 + 0.7 * (0.7 / 1.2 + 0.3 * 0.5)),
        ("0-2000", 0, 0.3 + 0.7 * (0.7 / 1.2 + 0.3)),
        ("0-2000", 2000, 0.3 + 0.7 * (0.7 / 1.2)),
        ("0-10000", 5000, 0.3 + 0.7 * (0.35 + 0.15)),
        ("100-100", 100, 1.0),
        ("0-2000", 3000, 0.15),
        ("2000-4000", 1000, 0.15),
        ("100-100", 200, 0.3 / 1.1),
        (" 0 - 2000 ", 2000, 0.3 + 0.7 * (0.7 / 1.2)),
        ("2000", 2000, 0.0),
        ("4000-2000", 3000, 0.0),
        ("a-b", 1, 0.0),
        ("0-" + "9" * 5000, 1, 0.0),
        ("", 1, 0.0),
        (None, 1, 0.5),
    ],
)
def test_formula(label: str | None, tokens: int, score: float) -> None:
    pool = SmallPool(2, labels=[{}, {} if label is None else {LABEL: label}])
    plugin = ContextLengthAware(ContextLengthAwareParameters())
    scores = plugin.score(pool.cycle(text_request(prompt_of(tokens))), pool.candidates)
    assert scores.tolist() == pytest.approx([0.5, score])


def test_in_range_beats_out_of_range_however_wide() -> None:
    pool = SmallPool(2, labels=[{LABEL: "0-100000000"}, {LABEL: "0-99"}])
    plugin = ContextLengthAware(ContextLengthAwareParameters())
    wide, near = plugin.score(pool.cycle(text_request(prompt_of(100))), pool.candidates).tolist()
    assert wide > 0.3 > near


@pytest.mark.parametrize(
    ("tokens", "enabled", "left"),
    [(10, True, [0, 2]), (150, True, [1, 2]), (100, True, [0, 1, 2]), (999, True, [2]), (999, False, [0, 1, 2, 3])],
)
def test_filter(tokens: int, enabled: bool, left: list[int]) -> None:
    pool = SmallPool(4, labels=[{LABEL: "0-100"}, {LABEL: "100-200"}, {}, {LABEL: "everything"}])
    plugin = ContextLengthAware(ContextLengthAwareParameters(enable_filtering=enabled))
    kept = plugin.filter(pool.cycle(text_request(prompt_of(tokens))), pool.candidates)
    assert kept.positions.tolist() == left


def test_another_label_and_fewer_candidates() -> None:
    pool = SmallPool(3, labels=[{"length": "0-10"}, {"length": "5-5"}, {LABEL: "0-1"}])
    plugin = ContextLengthAware(ContextLengthAwareParameters(label="length", enable_filtering=True))
    cycle = pool.cycle(text_request(prompt_of(5)))
    assert plugin.score(cycle, pool.candidates.keep([2, 1])).tolist() == [0.5, 1.0]
    assert plugin.filter(cycle, pool.candidates.keep([2, 1])).positions.tolist() == [2, 1]
