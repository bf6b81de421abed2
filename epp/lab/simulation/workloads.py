"""Workloads of simulations: requests with block ids, and when they arrive."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np

BLOCK_TOKENS = 512
BURST_S = 3.0


class TraceRequest(msgspec.Struct, frozen=True):
    """One line of a trace; equal ids are equal text of BLOCK_TOKENS tokens."""

    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


def read_trace(path: Path, most: int) -> list[TraceRequest]:
    """The first `most` requests of a trace in the form of Mooncake's: one JSON object a line."""
    with path.open("rb") as lines:
        return [msgspec.json.decode(line, type=TraceRequest) for line in itertools.islice(lines, most)]


def shared(count: int, rng: Random) -> list[TraceRequest]:
    """Groups of prompts with a shared beginning of 1 to 12 blocks, and blocks of their own."""
    fresh = itertools.count(10_000)
    groups = [[next(fresh) for _ in range(rng.randint(1, 12))] for _ in range(max(1, count // 12))]
    requests = []
    for number in range(count):
        ids = [0, *rng.choice(groups), *(next(fresh) for _ in range(rng.randint(0, 8)))]
        requests.append(TraceRequest(number * 1000.0, len(ids) * BLOCK_TOKENS, rng.randint(20, 600), ids))
    return requests


def no_reuse(count: int, rng: Random) -> list[TraceRequest]:
    """Lognormal prompts of about 1150 tokens and answers of about 210; no two have anything in common."""
    fresh = itertools.count(10_000)
    requests = []
    for number in range(count):
        tokens = _lognormal(rng, mean=1150.0, sigma=1.0, most=16_000)
        ids = [next(fresh) for _ in range(-(-tokens // BLOCK_TOKENS))]
        output = _lognormal(rng, mean=210.0, sigma=0.8, most=2_000)
        requests.append(TraceRequest(number * 1000.0, tokens, output, ids))
    return requests


def _lognormal(rng: Random, *, mean: float, sigma: float, most: int) -> int:
    return min(most, max(8, round(rng.lognormvariate(math.log(mean) - sigma * sigma / 2.0, sigma))))


def poisson(trace: Sequence[TraceRequest], rate_per_s: float, rng: Random) -> Iterator[tuple[float, TraceRequest]]:
    """The requests in their order, one by one at random."""
    at = 0.0
    for request in trace:
        at += rng.expovariate(rate_per_s)
        yield at, request


def bursts(trace: Sequence[TraceRequest], rate_per_s: float, rng: Random) -> Iterator[tuple[float, TraceRequest]]:
    """The same, but all that arrive within BURST_S come at once at its end."""
    for at, request in poisson(trace, rate_per_s, rng):
        yield math.ceil(at / BURST_S) * BURST_S, request


def tokens_of(request: TraceRequest) -> bytes:
    """The prompt as token ids: each block's are made of its id."""
    blocks = [np.arange(BLOCK_TOKENS, dtype="<u4") + np.uint32(block * BLOCK_TOKENS) for block in request.hash_ids]
    return np.concatenate(blocks)[: request.input_length].tobytes()
