"""disaggregatedset-rollout-screener: a request meets one revision only, in proportion to what each can take."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.screeners.disaggregatedset_rollout import (
    DisaggregatedSetRolloutParameters,
    DisaggregatedSetRolloutScreener,
)
from tests.support.small_pool import SmallPool

REVISION, ROLE = "disaggregatedset.x-k8s.io/revision", "disaggregatedset.x-k8s.io/role"
STRICT = {"name": "revision", "headerName": "X-Revision", "labelKey": REVISION, "mode": "strict"}
SLICE = {"name": "slice", "headerName": "x-slice", "labelKey": "slice", "mode": "prefer"}
TRIES = 2000


def pods(revision: str, role: str, count: int, **labels: str) -> list[dict[str, str]]:
    return [{"app": "vllm", REVISION: revision, ROLE: role, **labels}] * count


ROLLOUT = [
    *pods("a", "prefill", 2),
    *pods("a", "decode", 9),
    *pods("b", "prefill", 1),
    *pods("b", "decode", 1),
]
"""the example of the reference: two revisions of a deployment of 2 prefill and 10 decode pods"""


def screener(mode: str = "max-role", **more: Any) -> DisaggregatedSetRolloutScreener:
    gating = {"mode": mode, "requireRoles": {"values": ["prefill", "decode"]}}
    given = {"scope": {"labelSelector": "app=vllm"}, "revisionGating": gating, "headerSelectors": [STRICT, SLICE]}
    return DisaggregatedSetRolloutScreener(msgspec.convert({**given, **more}, DisaggregatedSetRolloutParameters))


def pool_of(labels: list[dict[str, str]], *, ranks: int = 1) -> SmallPool:
    return SmallPool(len(labels), ranks=ranks, labels=labels)


def revisions(left: Candidates) -> set[str]:
    return {endpoint.labels.get(REVISION, "") for endpoint in left.endpoints}


def shares(pool: SmallPool, mode: str) -> dict[str, float]:
    """How often each revision is drawn."""
    screen = screener(mode)
    drawn: Counter[str] = Counter()
    for _ in range(TRIES):
        (revision,) = revisions(screen.screen(pool.cycle(), pool.candidates))
        drawn[revision] += 1
    return {revision: count / TRIES for revision, count in drawn.items()}


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(("mode", "of_a"), [("max-role", 9 / 10), ("sum", 11 / 13)])
def test_revisions_are_drawn_by_their_pods(mode: str, of_a: float, ranks: int) -> None:
    found = shares(pool_of(ROLLOUT, ranks=ranks), mode)
    assert found["a"] == pytest.approx(of_a, abs=0.03)
    assert found["a"] + found["b"] == 1.0


def test_all_endpoints_of_the_drawn_revision_stay() -> None:
    pool = pool_of(pods("a", "prefill", 2) + pods("a", "decode", 3) + pods("", "decode", 1))
    assert len(screener().screen(pool.cycle(), pool.candidates)) == 5


def test_a_revision_without_a_required_role_gets_nothing() -> None:
    pool = pool_of(ROLLOUT[:-1])
    assert shares(pool, "max-role") == {"a": 1.0}


def test_pods_out_of_scope_do_not_count() -> None:
    pool = pool_of([*ROLLOUT[:-1], {**ROLLOUT[-1], "app": "other"}])
    assert shares(pool, "sum") == {"a": 1.0}


def test_only_a_revision_with_a_candidate_is_drawn() -> None:
    pool = pool_of(ROLLOUT)
    only_b = pool.candidates.keep([11, 12])
    assert revisions(screener().screen(pool.cycle(), only_b)) == {"b"}


def test_nobody_stays_when_no_revision_is_covered() -> None:
    pool = pool_of(pods("a", "decode", 3))
    assert len(screener().screen(pool.cycle(), pool.candidates)) == 0
    assert len(screener("sum").screen(pool.cycle(), pool.candidates)) == 0


@pytest.mark.parametrize("mode", ["max-role", "sum", "disabled"])
def test_a_request_may_name_its_revision(mode: str) -> None:
    pool = pool_of(ROLLOUT)
    left = screener(mode).screen(pool.cycle(headers={"x-revision": "b"}), pool.candidates)
    assert revisions(left) == {"b"}
    assert len(left) == 2


def test_a_named_revision_must_be_there_and_covered() -> None:
    pool = pool_of(ROLLOUT[:-1])
    for revision in ("b", "c"):
        assert not len(screener().screen(pool.cycle(headers={"x-revision": revision}), pool.candidates))
    left = screener("disabled").screen(pool.cycle(headers={"x-revision": "b"}), pool.candidates)
    assert len(left) == 1, "without gating nobody asks for the other role"


def test_disabled_lets_everybody_stay() -> None:
    pool = pool_of(ROLLOUT)
    assert screener("disabled").screen(pool.cycle(), pool.candidates).endpoints == pool.endpoints


def test_new_pods_count_with_the_next_snapshot() -> None:
    screen = screener()
    assert not len(screen.screen(pool_of(ROLLOUT[:2]).cycle(), pool_of(ROLLOUT[:2]).candidates))
    pool = pool_of(ROLLOUT)
    assert len(screen.screen(pool.cycle(), pool.candidates))


def test_the_response_gets_the_labels_of_whoever_served() -> None:
    pool = pool_of([*pods("a", "decode", 1, slice="7"), {}])
    stamps = screener().stamps
    assert [stamp(pool.endpoints[0]) for stamp in stamps] == [("x-revision", "a"), ("x-slice", "7")]
    assert [stamp(pool.endpoints[1]) for stamp in stamps] == [None, None]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"revisionGating": {"mode": "sum"}}, "the mode sum needs requireRoles.values"),
        ({"scope": {"labelSelector": "a b"}}, "is no part of a label selector"),
        ({"scope": {"labelSelector": ""}}, "length >= 1"),
        ({"revisionGating": {"mode": "random"}}, "Invalid enum value"),
    ],
)
def test_parameters_that_cannot_be(change: dict[str, Any], says: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        screener(**change)
