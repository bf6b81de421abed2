"""Saturation: mean over the candidates of max(queue / 5, kv usage / 0.8), and who is turned away by it."""

import numpy as np
import pytest

from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest
from epp.core.flow.saturation import DEFAULT_DETECTOR, SaturationDetector, UtilizationDetector, admit
from epp.core.scheduling.cycle import Candidates
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster

STALE_AFTER_S = 2.0


class Pool:
    """Endpoints with (waiting, kv usage) scraped at 0 s; None was never scraped."""

    def __init__(self, *loads: tuple[float, float] | None) -> None:
        self.ledger = InFlightLedger()
        self.roster = Roster(self.ledger, lambda: 0.0, metrics_stale_after_s=STALE_AFTER_S)
        endpoints = tuple(
            Endpoint.create(namespace="default", pod=f"p{n}", rank=0, address=f"10.0.0.{n}", port=80)
            for n in range(len(loads))
        )
        self.roster.objects_changed(ObjectState(InferencePool("default", "pool", {}, (80,)), endpoints))
        for endpoint, load in zip(endpoints, loads, strict=True):
            if load is not None:
                self.roster.load_reported(endpoint, LoadReport(waiting=load[0], kv_usage=load[1]))

    def saturation(self, now: float = 0.0, detector: SaturationDetector = DEFAULT_DETECTOR) -> float:
        return detector.saturation(Candidates(self.roster.current), self.ledger, now)

    def admit(self, priority: int) -> None:
        request = InferenceRequest("r", priority=priority)
        admit(request, Candidates(self.roster.current), self.ledger, DEFAULT_DETECTOR, 0.0)


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ([(0, 0.0)], 0.0),
        ([(5, 0.0)], 1.0),
        ([(0, 0.8)], 1.0),
        ([(10, 0.4)], 2.0),
        ([(1, 0.8)], 1.0),
        ([(0, 0.0), (10, 0.0)], 1.0),
        ([(0, 0.0), (5, 0.0), (0, 0.4)], 0.5),
    ],
)
def test_the_formula(loads: list[tuple[float, float]], expected: float) -> None:
    assert Pool(*loads).saturation() == pytest.approx(expected)


def test_an_empty_pool_is_full() -> None:
    assert Pool().saturation() == 1.0


def test_only_the_candidates_count() -> None:
    pool = Pool((50, 1.0), (0, 0.0))
    idle = Candidates(pool.roster.current, np.array([1]))
    assert DEFAULT_DETECTOR.saturation(idle, pool.ledger, 0.0) == 0.0


def test_limits_are_settings() -> None:
    limits = UtilizationDetectorParameters(queue_depth_threshold=20, kv_cache_util_threshold=0.4)
    assert Pool((10, 0.2)).saturation(detector=UtilizationDetector(limits)) == pytest.approx(0.5)


def test_what_came_since_the_scrape_counts_as_queueing_until_it_ends() -> None:
    pool = Pool((1, 0.0))
    slot = int(pool.roster.current.slots[0])
    held = [pool.ledger.reserve(slot, tokens=1) for _ in range(3)]
    assert pool.saturation() == pytest.approx(4 / 5)
    for reservation in held:
        pool.ledger.release(reservation)
    assert pool.saturation() == pytest.approx(1 / 5)


def test_what_ended_since_the_scrape_is_not_held_against_the_queue_that_was_seen() -> None:
    pool = Pool((0, 0.0))
    slot = int(pool.roster.current.slots[0])
    held = [pool.ledger.reserve(slot, tokens=1) for _ in range(3)]
    pool.roster.load_reported(pool.roster.current.endpoints[0], LoadReport(waiting=2, kv_usage=0.0))
    for reservation in held:
        pool.ledger.release(reservation)
    assert pool.saturation() == pytest.approx(2 / 5)


def test_prompts_that_came_since_the_scrape_fill_the_kv_cache() -> None:
    pool = Pool((0, 0.2))
    slot = int(pool.roster.current.slots[0])
    pool.roster.load_reported(
        pool.roster.current.endpoints[0], LoadReport(waiting=0, kv_usage=0.2, kv_blocks=100, kv_block_tokens=10)
    )
    pool.ledger.reserve(slot, tokens=600)
    assert pool.saturation() == pytest.approx(0.8 / 0.8)


def test_without_the_correction_only_the_scrape_counts() -> None:
    pool = Pool((1, 0.0))
    pool.ledger.reserve(int(pool.roster.current.slots[0]), tokens=1)
    detector = UtilizationDetector(UtilizationDetectorParameters(inflight_correction=False))
    assert pool.saturation(detector=detector) == pytest.approx(1 / 5)


def test_a_silent_endpoint_is_judged_by_our_own_requests() -> None:
    pool = Pool(None, (0, 0.0))
    assert pool.saturation() == 0.0, "silence is not fullness"
    slot = int(pool.roster.current.slots[0])
    for _ in range(100):
        pool.ledger.reserve(slot, tokens=1)
    assert pool.saturation() == pytest.approx(0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_metrics_that_are_no_numbers_are_no_judgement(value: float) -> None:
    pool = Pool((value, 0.0), (0, value), (5, 0.0))
    assert pool.saturation() == pytest.approx(1 / 3)


def test_old_numbers_stop_counting_when_they_are_stale() -> None:
    pool = Pool((50, 1.0))
    assert pool.saturation(now=STALE_AFTER_S) == pytest.approx(10.0)
    assert pool.saturation(now=STALE_AFTER_S + 0.001) == 0.0


@pytest.mark.parametrize("priority", [0, 1, 100])
def test_only_sheddable_requests_are_turned_away(priority: int) -> None:
    Pool((50, 1.0)).admit(priority)


def test_a_sheddable_request_passes_while_there_is_room() -> None:
    Pool((4, 0.7)).admit(-1)


@pytest.mark.parametrize("loads", [[(5, 0.0)], []])
def test_a_sheddable_request_on_a_full_pool_is_told_why(loads: list[tuple[float, float]]) -> None:
    with pytest.raises(ResourceExhausted, match="system saturated, sheddable request dropped") as caught:
        Pool(*loads).admit(-3)
    assert caught.value.reason is DroppedReason.SATURATED
    assert caught.value.retry_after_s == 1
    assert "priority -3" in caught.value.hint
