"""Fault descriptions and counted faults."""

import pytest

from epp.lab.fake_vllm.errors import ApiError
from epp.lab.fake_vllm.faults import Faults, FaultState, read_faults


def test_a_counted_fault_ends() -> None:
    state = FaultState()
    state.replace(read_faults(b'{"status": 500, "times": 2}'))
    refusals = [state.refuse() for _ in range(3)]
    assert [refusal.status if refusal else None for refusal in refusals] == [500, 500, None]


def test_an_uncounted_fault_lasts_until_it_is_replaced() -> None:
    state = FaultState()
    state.replace(read_faults(b'{"status": 429}'))
    assert all(state.refuse() for _ in range(10))
    state.replace(read_faults(b"{}"))
    assert state.faults == Faults()
    assert state.refuse() is None


@pytest.mark.parametrize(
    "raw",
    [
        b'{"helth": 503}',
        b'{"health": 100}',
        b'{"metrics": "loud"}',
        b'{"metrics": 1000}',
        b'{"adapters": "slow"}',
        b'{"adapters": 99}',
        b'{"delay_s": -1}',
        b'{"times": 3}',
        b'{"status": 500, "times": -1}',
        b"nonsense",
        b"\xff",
    ],
)
def test_impossible_faults_are_refused(raw: bytes) -> None:
    with pytest.raises(ApiError, match="faults: ") as refused:
        read_faults(raw)
    assert refused.value.status == 400
