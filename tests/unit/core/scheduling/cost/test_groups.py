"""Groups of pods: one learner per label value."""

import numpy as np

from epp.core.scheduling.cost.groups import MOST_GROUPS, Groups
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from tests.support.small_pool import SmallPool

KINDS: list[dict[str, str]] = [{"gpu": "a"}, {"gpu": "b"}, {"gpu": "a"}]


def test_without_a_label_everybody_is_one_group() -> None:
    pool, groups = SmallPool(3, labels=KINDS), Groups(ExpectedCostParameters())
    assert groups.costs_of(pool.candidates) == (1.0, 0.00765, 7.62e-8)
    assert groups.learner_of(pool.slot(0)) is groups.learner_of(pool.slot(1))


def test_with_a_label_each_value_is_one() -> None:
    pool, groups = SmallPool(4, labels=KINDS), Groups(ExpectedCostParameters(group_label="gpu"))
    groups.costs_of(pool.candidates)
    learners = [groups.learner_of(pool.slot(number)) for number in range(4)]
    assert learners[0] is learners[2]
    assert len({id(learner) for learner in learners}) == 3
    learners[1].coefficients.prefill_scale = 5.0
    scale, step_s, _ = groups.costs_of(pool.candidates.keep([1, 0]))
    assert np.asarray(scale).tolist() == [5.0, 1.0]
    assert np.asarray(step_s).tolist() == [0.00765, 0.00765]


def test_values_beyond_a_bound_belong_to_those_without() -> None:
    kinds = [{"gpu": f"kind-{number}"} for number in range(MOST_GROUPS)]
    pool = SmallPool(MOST_GROUPS + 1, labels=kinds)
    groups = Groups(ExpectedCostParameters(group_label="gpu"))
    groups.costs_of(pool.candidates)
    unlabelled = groups.learner_of(pool.slot(MOST_GROUPS))
    assert groups.learner_of(pool.slot(MOST_GROUPS - 1)) is unlabelled
    assert groups.learner_of(pool.slot(MOST_GROUPS - 2)) is not unlabelled
