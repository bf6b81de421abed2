"""Pieces of the picker's work measured alone, in this process: decide, hash, scan, codec, and a request as a whole."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable
from functools import partial

from bench import decide, request_path
from bench.gateway.cases import USUAL_PODS
from bench.gateway.findings import Step
from bench.scrape_pages import changing_pages
from epp.app.configuration import TOTALS_EVERY
from epp.core.config.built_in_policies import DEFAULT_POLICY
from epp.core.protocol.commands import Mutation, Phase, SendRouting
from epp.core.protocol.headers import DESTINATION
from epp.edge.extproc.codec import decode
from epp.edge.extproc.encode import encode_routing
from epp.edge.scrape.engines import ENGINES
from epp.edge.scrape.load_scan import LoadReader

REPETITIONS = 200
"""of one round, of what takes microseconds"""
REQUESTS = 300
DESTINATION_NAME = "127.0.0.11:8000"


def measure_steps(on_step: Callable[[str], None]) -> tuple[Step, ...]:
    """All of them, some ten seconds; `on_step` is told of each before it begins."""
    steps = []
    for what, measure in _measures().items():
        on_step(f"microseconds: {what}")
        cost = measure()
        steps.append(Step(what, cost.cost_s * 1e6, cost.cost_s / cost.loop_s))
    return tuple(steps)


def _measures() -> dict[str, Callable[[], decide.Cost]]:
    pages, load_reader = itertools.cycle(changing_pages()), LoadReader(ENGINES["vllm"], totals_every=TOTALS_EVERY)
    headers, body = request_path.headers_message(), request_path.body_message(1, 220_000)
    routing = SendRouting(Phase.REQUEST_BODY, DESTINATION_NAME, Mutation(((DESTINATION, DESTINATION_NAME),)))
    return {
        **{
            f"decide, {pods} pods, 2 KB": partial(decide.decide_cost, pods, decide.PROMPT_BYTES, DEFAULT_POLICY)
            for pods in (10, 100, 1000)
        },
        **{
            f"hash and match, {size // 1000} KB": partial(decide.prefix_cost, size)
            for size in (20_000, 220_000, 1_000_000)
        },
        f"scan a metrics page of {len(next(pages)) / 1000:.0f} KB": _repeated(lambda: load_reader.read(next(pages))),
        "decode request headers": _repeated(lambda: decode(headers)),
        "decode a body of 220 KB": _repeated(lambda: decode(body)),
        "encode a decision": _repeated(lambda: encode_routing(routing)),
        "a request of 0.8 KB, messages in to messages out": partial(_request_cost, 800),
        "a request of 220 KB, messages in to messages out": partial(_request_cost, 220_000),
    }


def _repeated(work: Callable[[], object]) -> Callable[[], decide.Cost]:
    def round_s() -> float:
        started = time.process_time()
        for _ in range(REPETITIONS):
            work()
        return (time.process_time() - started) / REPETITIONS

    return lambda: decide.best_of(round_s)


def _request_cost(prompt_bytes: int) -> decide.Cost:
    loop_s = statistics.median(decide.reference_loop_s() for _ in range(request_path.ROUNDS))
    cost_s = asyncio.run(request_path.measure(USUAL_PODS, prompt_bytes, REQUESTS))
    return decide.Cost(cost_s, loop_s)
