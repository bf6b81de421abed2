"""Compares policies in virtual time: the picker's own scheduling code in front of the fake pods' engine model.

    python bench/simulate.py --workload conv=conversation.jsonl --load 0.8 --load 0.95 --seeds 5
    python bench/simulate.py --workload no-reuse --policy expected-cost --config mine.yaml

Every policy gets the same requests at the same times. Workloads: `shared` and `no-reuse` are made up; `NAME=FILE` is a
trace as Mooncake's (one JSON object a line: `timestamp` in ms, `input_length` and `output_length` in tokens,
`hash_ids`, one per 512 tokens, equal ids for equal text) with its requests arriving at random; `bursts:` before any of
them lets all requests of three seconds arrive at once. A load is a share of what the pool can serve, which is measured
first, with least-request picks. The picker sees one answer of 16 and knows no request's output length beforehand.

The table is in Markdown: mean over the seeds and half the width of the 95 % confidence interval (Student's t). Time to
first token (TTFT) and end-to-end time (E2E) are in seconds, time per output token (TPOT) in milliseconds, `hit` is the
part of the prompt tokens found in a prefix cache. The first tenth of the requests is left out. Nothing is asserted.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from epp.core.config.built_in_policies import POLICIES
from epp.core.config.load import load_config
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.lab.simulation.pool import PoolPlan, SimulatedPool, Times
from epp.lab.simulation.workloads import TraceRequest, bursts, no_reuse, poisson, read_trace, shared

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
LEAST_REQUEST = f"{HEAD}plugins:\n- type: active-request-scorer\n- type: max-score-picker\n"
COEFFICIENTS = (
    "prefill_seconds_per_token",
    "attention_seconds_per_token_squared",
    "kv_seconds_per_token",
    "sequence_seconds_per_step",
    "step_seconds",
)
T_95 = (0.0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for 0, 1, 2, ... degrees of freedom"""
COLUMNS = ("TTFT p50", "TTFT p99", "TPOT p50", "TPOT p99", "E2E", "TTFT", "hit")


def expected_cost(factor: float = 1.0, *, learns: bool, **more: float) -> str:
    """A configuration whose coefficients are wrong by `factor`; `more` are parameters by their names in code."""
    defaults = ExpectedCostParameters()
    given = {name: getattr(defaults, name) * factor for name in COEFFICIENTS} | {"learn_coefficients": learns} | more
    written = msgspec.to_builtins(msgspec.structs.replace(defaults, **given))
    parameters = {name: value for name, value in written.items() if value != ""}
    return f"{HEAD}plugins:\n- type: expected-cost-scorer\n  parameters: {msgspec.json.encode(parameters).decode()}\n"


NAMED: Mapping[str, str] = {
    "least-request": LEAST_REQUEST,
    "reference-as-scraped": POLICIES["reference"].replace(
        "-scorer\n- type", "-scorer\n  parameters: {inflightCorrection: false}\n- type", 2
    ),
    "reference": POLICIES["reference"],
    "expected-cost": POLICIES["expected-cost"],
    "expected-cost-fixed": expected_cost(learns=False),
    "fixed-x0.5": expected_cost(0.5, learns=False),
    "fixed-x2": expected_cost(2.0, learns=False),
    "learned-from-x0.5": expected_cost(0.5, learns=True),
    "learned-from-x2": expected_cost(2.0, learns=True),
}


class Run(msgspec.Struct, frozen=True):
    """One simulation."""

    workload: str
    policy: str
    text: str
    """configuration"""
    rate_per_s: float
    requests: int
    seed: int
    plan: PoolPlan


def requests_of(workload: str, count: int, seed: int) -> list[TraceRequest]:
    """The requests of a workload; traces are the same for every seed."""
    kind, _, path = workload.removeprefix("bursts:").partition("=")
    if path:
        return read_trace(Path(path), count)
    return {"shared": shared, "no-reuse": no_reuse}[kind](count, Random(seed))


def simulate(run: Run) -> dict[str, float]:
    """Figures by column."""
    trace = requests_of(run.workload, run.requests, run.seed)
    arrive = bursts if run.workload.startswith("bursts:") else poisson
    plan = list(arrive(trace, run.rate_per_s, Random(run.seed)))
    times = SimulatedPool(config_of(run), run.plan, run.seed).run(plan)
    return figures(times)


def config_of(run: Run) -> PickerConfig:
    """Raises ConfigurationError."""
    return load_config(run.text, run.policy, CATALOGUE)


def capacity_per_s(workload: str, count: int, plan: PoolPlan) -> float:
    """Requests per second that the pool ends when all are there at once; without the beginning and the end."""
    trace = requests_of(workload, count, 0)
    config = load_config(LEAST_REQUEST, "least-request", CATALOGUE)
    times = SimulatedPool(config, plan, 0).run([(0.0, request) for request in trace])
    ends = sorted(each.ended_at for each in times)
    first, last = len(ends) // 10, len(ends) * 8 // 10
    return float((last - first) / (ends[last] - ends[first]))


def figures(times: Sequence[Times]) -> dict[str, float]:
    """By column; without the first tenth of the requests."""
    kept = sorted(times, key=lambda each: each.arrived_at)[len(times) // 10 :]
    first = np.array([each.first_token_at - each.arrived_at for each in kept])
    per_token = np.array(
        [(each.ended_at - each.first_token_at) / (each.output_tokens - 1) for each in kept if each.output_tokens > 1]
    )
    return {
        "TTFT": float(first.mean()),
        "TTFT p50": float(np.quantile(first, 0.5)),
        "TTFT p99": float(np.quantile(first, 0.99)),
        "TPOT p50": float(np.quantile(per_token, 0.5)) * 1e3,
        "TPOT p99": float(np.quantile(per_token, 0.99)) * 1e3,
        "E2E": statistics.mean(each.ended_at - each.arrived_at for each in kept),
        "hit": sum(each.cached_tokens for each in kept) / sum(each.prompt_tokens for each in kept),
    }


def cell(values: Sequence[float]) -> str:
    """Mean and half the confidence interval."""
    mean = statistics.mean(values)
    digits = 1 if mean >= 10 else 2 if mean >= 1 else 3
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    half = T_95[min(len(values) - 1, len(T_95) - 1)] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="compare policies in virtual time")
    parser.add_argument("--workload", action="append", help="shared, no-reuse or NAME=FILE; bursts: before it")
    parser.add_argument("--policy", action="append", choices=tuple(NAMED), default=[])
    parser.add_argument("--config", type=Path, action="append", default=[], help="EndpointPickerConfig to compare too")
    parser.add_argument("--load", type=float, action="append", help="share of the pool's capacity")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--pods", type=int, default=8)
    parser.add_argument("--slow-pods", type=int, default=0, help="so many of them take twice as long")
    parser.add_argument("--scrape-s", type=float, default=0.05)
    parser.add_argument(
        "--sees-every", type=int, default=16, help="answers that the picker sees: 1 of so many; 0: none"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    plan = PoolPlan(
        pods=options.pods, scrape_s=options.scrape_s, sees_every=options.sees_every, slow_pods=options.slow_pods
    )
    texts = {name: NAMED[name] for name in options.policy or ([] if options.config else NAMED)}
    texts |= {path.stem: path.read_text() for path in options.config}
    with ProcessPoolExecutor(options.jobs) as processes:
        for workload in options.workload or ("shared", "no-reuse"):
            capacity = processes.submit(capacity_per_s, workload, options.requests, plan).result()
            for load in options.load or (0.8,):
                name = workload.partition("=")[0]
                sys.stdout.write(f"\n{name}, load {load:g} of {capacity:.2f} requests/s\n\n")
                sys.stdout.write(f"| policy | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 1)}\n")
                runs = {
                    policy: [
                        processes.submit(
                            simulate, Run(workload, policy, text, load * capacity, options.requests, seed, plan)
                        )
                        for seed in range(options.first_seed, options.first_seed + options.seeds)
                    ]
                    for policy, text in texts.items()
                }
                for policy, started in runs.items():
                    found = [one.result() for one in started]
                    cells = [cell([each[column] for each in found]) for column in COLUMNS]
                    sys.stdout.write(f"| {policy} | {' | '.join(cells)} |\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
