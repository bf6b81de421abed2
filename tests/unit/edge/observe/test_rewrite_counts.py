"""Counts of rewritten requests."""

from epp.core.domain.request import InferenceRequest
from epp.edge.observe.label_values import OTHER
from epp.edge.observe.rewrite_counts import RewriteCounts
from tests.support.routed_requests import decision
from tests.support.watched_pool import WatchedPool

NAME = "inference_extension_model_rewrite_decisions_total"


def test_a_rewritten_request_is_counted_by_rewrite_model_and_target() -> None:
    pool = WatchedPool()
    for serial in range(3):
        request = InferenceRequest("r", model="alias", target_model="v1", model_rewrite="canary")
        pool.sink.request_routed(decision(request, serial=serial))
    pool.sink.request_routed(decision(InferenceRequest("r", model="alias", target_model="by-header"), serial=9))

    page = pool.page()

    labels = {"model_rewrite_name": "canary", "model_name": "alias", "target_model": "v1"}
    assert page.value(NAME, labels) == 3
    assert page.label_values(NAME, "target_model") == {"v1"}


def test_names_of_models_are_bounded_and_configured_ones_are_not_lost() -> None:
    pool = WatchedPool()
    pool.sink.known_names(["fallback", "default-model"])
    for number in range(10_000):
        request = InferenceRequest(
            "r", model=f"stranger-{number}", target_model="default-model", model_rewrite="fallback"
        )
        pool.sink.request_routed(decision(request, serial=number))

    page = pool.page()

    assert len(page.label_values(NAME, "model_name")) == 1_000 + 1
    assert page.label_values(NAME, "target_model") == {"default-model"}
    labels = {"model_rewrite_name": "fallback", "model_name": OTHER, "target_model": "default-model"}
    assert page.value(NAME, labels) == 9_000


def test_combinations_are_bounded() -> None:
    counts = RewriteCounts(most_values=5, most_series=20)
    for number in range(1_000):
        counts.count(f"rewrite-{number % 9}", f"m-{number % 7}", f"t-{number % 5}")

    assert len(counts.series()) <= 20 + 6
    assert sum(count for _, count in counts.series()) == 1_000
    assert {rewrite for (rewrite, _, _), _ in counts.series()} <= {OTHER, *(f"rewrite-{number}" for number in range(9))}
