"""Saturation by stage: prefill and decode endpoints are judged apart, and the fuller stage counts."""

import pytest

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.flow.concurrency import ConcurrencyDetector
from epp.core.flow.saturation import DEFAULT_DETECTOR
from epp.core.flow.stages import StageSaturation, by_stage
from epp.core.scheduling.cycle import Candidates
from tests.support.small_pool import SmallPool

IDLE, FULL = 0, 5


def pool(*roles_and_queues: tuple[str, int]) -> SmallPool:
    made = SmallPool(
        len(roles_and_queues), labels=[{"llm-d.ai/role": role} if role else {} for role, _ in roles_and_queues]
    )
    for number, (_, waiting) in enumerate(roles_and_queues):
        made.report(number, waiting=waiting, kv_usage=0.0)
    return made


def effective(made: SmallPool) -> float:
    return DEFAULT_DETECTOR.saturation(made.candidates, made.ledger, made.now)


@pytest.mark.parametrize(
    ("roles_and_queues", "expected"),
    [
        ([("prefill", FULL), ("decode", IDLE), ("decode", IDLE)], 1.0),
        ([("prefill", IDLE), ("decode", FULL), ("decode", IDLE)], 0.5),
        ([("prefill", IDLE), ("decode", FULL), ("", FULL)], 1.0),
        ([("both", FULL), ("decode", IDLE)], 1.0),
        ([("both", FULL), ("prefill", IDLE), ("decode", IDLE)], 0.5),
        ([("decode", IDLE), ("encode", FULL), ("stranger", FULL)], 0.0),
        ([("prefill", IDLE)], 0.0),
        ([("encode", IDLE)], 1.0),
        ([("", FULL), ("", IDLE)], 0.5),
    ],
)
def test_the_fuller_stage_counts(roles_and_queues: list[tuple[str, int]], expected: float) -> None:
    assert effective(pool(*roles_and_queues)) == expected


def test_each_stage_is_known_by_itself() -> None:
    made = pool(("prefill", FULL), ("decode", IDLE), ("encode", FULL))
    stages = by_stage(made.candidates, lambda chosen: float(len(chosen)))
    assert stages == StageSaturation(prefill=1.0, decode=1.0)
    assert by_stage(pool(("", IDLE)).candidates, lambda _: 0.25) == StageSaturation(None, 0.25)


def test_only_the_candidates_are_judged() -> None:
    made = pool(("prefill", FULL), ("prefill", IDLE), ("decode", IDLE))
    assert DEFAULT_DETECTOR.saturation(made.candidates.keep([1, 2]), made.ledger, made.now) == 0.0


def test_nobody_is_full() -> None:
    assert effective(SmallPool(0)) == 1.0
    none_left = pool(("decode", IDLE)).candidates.keep([])
    assert by_stage(none_left, lambda _: 0.0).effective == 1.0


def test_concurrency_is_judged_by_stage_too() -> None:
    made = pool(("prefill", IDLE), ("decode", IDLE), ("decode", IDLE))
    made.hold(0, requests=10)
    detector = ConcurrencyDetector(ConcurrencyDetectorParameters(max_concurrency=10))
    assert detector.saturation(made.candidates, made.ledger, made.now) == 1.0
    assert detector.saturation(Candidates(made.snapshot).keep([1, 2]), made.ledger, made.now) == 0.0
