import numpy as np
import pytest

from epp.core.domain.decision import ScoreCard, plain
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.state.columns import FloatColumn
from tests.support.small_pool import SmallPool

PICKER = MaxScorePicker(PickerParameters())


class Fixed:
    """A scorer with an opinion per endpoint of the pool."""

    def __init__(self, *scores: float) -> None:
        self._scores = np.array(scores)

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        return self._scores[candidates.positions]


class Keep:
    """A filter that leaves the candidates at these indices."""

    def __init__(self, *indices: int) -> None:
        self._indices = indices

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates.keep(list(self._indices))


def profile(*scorers: tuple[float, Fixed], filters: tuple[Keep, ...] = ()) -> Profile:
    return Profile(
        "default",
        tuple(NamedFilter(f"filter-{number}", plugin) for number, plugin in enumerate(filters)),
        tuple(WeightedScorer(f"scorer-{number}", plugin, weight) for number, (weight, plugin) in enumerate(scorers)),
        PICKER,
    )


def run(tried: Profile, pool: SmallPool) -> tuple[Candidates, list[int], ScoreCard]:
    """Who was left, who was picked, and the scores."""
    result = tried.run(pool.cycle(), pool.candidates)
    return result.left, result.picked, result.card


def test_the_total_is_the_weighted_sum_of_clamped_scores() -> None:
    pool = SmallPool(3)
    _, picked, card = run(profile((2.0, Fixed(0.5, 1.0, -3.0)), (3.0, Fixed(7.0, 0.25, 0.0))), pool)
    assert plain(card.totals) == [2 * 0.5 + 3 * 1.0, 2 * 1.0 + 3 * 0.25, 0.0]
    assert picked == [0]


def test_the_card_keeps_every_scorers_number() -> None:
    pool = SmallPool(2)
    _, _, card = run(profile((2.0, Fixed(0.5, 4.0)), (0.0, Fixed(0.1, 0.2))), pool)

    assert (card.profile, card.candidates) == ("default", pool.endpoints)
    assert [(column.plugin, column.weight, plain(column.scores)) for column in card.columns] == [
        ("scorer-0", 2.0, [0.5, 1.0]),
        ("scorer-1", 0.0, [0.1, 0.2]),
    ]


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_score_that_is_no_number_counts_as_worst(value: float) -> None:
    pool = SmallPool(2)
    _, picked, card = run(profile((1.0, Fixed(value, 0.1))), pool)

    assert plain(card.totals) == [0.0, 0.1]
    assert picked == [1]


def test_when_no_score_is_a_number_somebody_is_picked_all_the_same() -> None:
    pool = SmallPool(2)
    _, picked, _ = run(profile((1.0, Fixed(np.nan, np.nan))), pool)
    assert picked in ([0], [1])


def test_filters_run_in_order_and_scorers_see_what_they_left() -> None:
    pool = SmallPool(4)
    left, picked, card = run(profile((1.0, Fixed(0.1, 0.9, 0.3, 0.2)), filters=(Keep(3, 2, 0), Keep(1, 0))), pool)
    assert left.endpoints == (pool.endpoints[2], pool.endpoints[3]) == card.candidates
    assert plain(card.totals) == [0.3, 0.2]
    assert left.endpoint(picked[0]) == pool.endpoints[2]


def test_a_filter_that_leaves_nobody_refuses_and_is_named() -> None:
    pool = SmallPool(2)
    with pytest.raises(ResourceExhausted, match="no endpoints available for the given request") as caught:
        run(profile(filters=(Keep(0, 1), Keep())), pool)

    assert caught.value.reason is DroppedReason.SATURATED
    assert caught.value.hint == "filter 'filter-1' of profile 'default' left no endpoint"
