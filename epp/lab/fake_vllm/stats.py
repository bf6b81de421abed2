"""What the engine tells about itself: counters, histograms, LoRA series; published once per step, as vLLM does."""

from bisect import bisect_left
from collections import OrderedDict
from typing import NamedTuple

import msgspec

TTFT_BUCKETS_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
TOKEN_GAP_BUCKETS_S = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
LATENCY_BUCKETS_S = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip


class Histogram:
    """A Prometheus histogram: `counts[i]` observations fell into bucket i; the last one is +Inf."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Counts one value; a value equal to a bound belongs to that bound's bucket (`le`)."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Counters:
    """Running totals; copied into EngineStats at the end of each step."""

    __slots__ = ("aborted", "generation_tokens", "hits", "length", "preemptions", "prompt_tokens", "queries", "stopped")

    def __init__(self) -> None:
        self.queries = 0
        self.hits = 0
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.stopped = 0
        self.length = 0
        self.aborted = 0


class EngineStats(msgspec.Struct, frozen=True):
    """The published state of the engine: gauges as of the end of the last step, totals since the start.

    `prefix_queries` and `prefix_hits` count tokens; `at` is engine time in seconds; `step` numbers the publications.
    """

    step: int = 0
    at: float = 0.0
    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    prefix_queries: int = 0
    prefix_hits: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    preemptions: int = 0
    finished_stop: int = 0
    finished_length: int = 0
    finished_abort: int = 0


class LoraInfo(NamedTuple):
    """One series of vllm:lora_requests_info: comma-joined adapter names, and the engine time of its last update."""

    running: str
    waiting: str
    at: float


class LoraHistory:
    """Every pair of adapter sets seen, each with the time it was last true, oldest first.

    prometheus_client never forgets a label combination, so vLLM's page shows past pairs with past timestamps and a
    reader must take the newest. Only the `limit` latest pairs are kept here.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def record(self, running: str, waiting: str, at: float) -> None:
        """The pair is true at engine time `at`."""
        pair = (running, waiting)
        self._at[pair] = at
        self._at.move_to_end(pair)
        if len(self._at) > self._limit:
            self._at.popitem(last=False)

    def series(self) -> list[LoraInfo]:
        """The kept series, the current one last."""
        return [LoraInfo(running, waiting, at) for (running, waiting), at in self._at.items()]
