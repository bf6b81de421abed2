"""Workloads of simulations."""

import statistics
from pathlib import Path
from random import Random

import numpy as np
import pytest

from epp.lab.simulation.workloads import (
    BLOCK_TOKENS,
    BURST_S,
    TraceRequest,
    bursts,
    no_reuse,
    poisson,
    read_trace,
    shared,
    tokens_of,
)


def test_a_trace_is_read_up_to_a_number_of_requests(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    line = '{"timestamp": 3000, "input_length": 600, "output_length": 7, "hash_ids": [0, 9]}\n'
    path.write_text(line * 3)
    assert read_trace(path, 2) == [TraceRequest(3000.0, 600, 7, [0, 9])] * 2


def test_equal_ids_are_equal_text_and_others_are_not() -> None:
    first = tokens_of(TraceRequest(0.0, 700, 1, [3, 4]))
    second = tokens_of(TraceRequest(0.0, 900, 1, [3, 5]))
    assert (len(first), len(second)) == (4 * 700, 4 * 900)
    assert first[: 4 * BLOCK_TOKENS] == second[: 4 * BLOCK_TOKENS]
    assert not np.intersect1d(
        np.frombuffer(first[4 * BLOCK_TOKENS :], "<u4"), np.frombuffer(second[4 * BLOCK_TOKENS :], "<u4")
    ).size


def test_without_reuse_nothing_is_shared_and_lengths_are_as_said() -> None:
    requests = no_reuse(3000, Random(1))
    ids = [block for request in requests for block in request.hash_ids]
    assert len(set(ids)) == len(ids)
    assert statistics.mean(request.input_length for request in requests) == pytest.approx(1150, rel=0.1)
    assert statistics.mean(request.output_length for request in requests) == pytest.approx(210, rel=0.1)


def test_shared_prompts_begin_alike_in_groups() -> None:
    requests = shared(240, Random(1))
    assert {request.hash_ids[0] for request in requests} == {0}
    beginnings = [request.hash_ids[1] for request in requests]
    assert 2 <= len(set(beginnings)) <= 20


def test_arrivals_have_the_rate_and_bursts_come_at_once() -> None:
    requests = no_reuse(2000, Random(1))
    times = [at for at, _ in poisson(requests, 10.0, Random(2))]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(200.0, rel=0.1)
    together = [at for at, _ in bursts(requests, 10.0, Random(2))]
    assert {at % BURST_S for at in together} == {0.0}
    assert all(0.0 <= later - at < BURST_S for at, later in zip(times, together, strict=True))
