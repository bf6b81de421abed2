"""What a soak run concludes from what it saw."""

from collections.abc import Sequence

import pytest

from bench.gateway.latency import Quantiles
from bench.gateway.load import LoadResult
from bench.gateway.soak import MIX, Sample, judged
from epp.lab.verdict import EXT_PROC_COUNTERS

MIB = 2**20
NOTHING_COUNTED = dict.fromkeys(EXT_PROC_COUNTERS, 0)


def load(**failures: int) -> LoadResult:
    return LoadResult(
        completed=100,
        window_s=10.0,
        cpu_s={},
        generator_cpu_s=0.0,
        others_cpu_s=0.0,
        first_byte=Quantiles(1.0, 2.0),
        total=Quantiles(3.0, 4.0),
        answered=120,
        failures=failures,
    )


def memory(*mib: float) -> Sequence[Sample]:
    return [Sample(float(number), int(size * MIB), in_flight=3) for number, size in enumerate(mib)]


def test_all_is_well() -> None:
    result = judged(memory(60, 70, 80, 80, 81, 80, 80, 81), [load(), load()], NOTHING_COUNTED, left_in_flight=0)
    assert result.problems == ()
    assert (result.answered, result.most_bytes) == (240, 81 * MIB)
    assert (result.p50_ms, result.p99_ms) == (3.0, 4.0)


@pytest.mark.parametrize(
    ("samples", "failures", "counters", "left", "says"),
    [
        (memory(60, 70, 80, 85, 90, 95, 100, 105), {}, {}, 0, "memory grew from 75 to 102 MiB"),
        (memory(80), {"status 503": 2}, {}, 0, "2 requests: status 503"),
        (memory(80), {}, {"streams_failed": 1}, 0, "Envoy counted streams_failed = 1"),
        (memory(80), {}, {}, 4, "4 requests are in flight for the picker after the end"),
    ],
    ids=["memory", "failures", "counters", "in flight"],
)
def test_what_is_wrong_is_said(
    samples: Sequence[Sample], failures: dict[str, int], counters: dict[str, int], left: int, says: str
) -> None:
    result = judged(samples, [load(**failures)], NOTHING_COUNTED | counters, left)
    assert result.problems == (says,)


def test_the_mix_is_a_whole() -> None:
    assert sum(part.share for part in MIX) == pytest.approx(1.0)
    assert {part.prompt_bytes for part in MIX} == {800, 20_000, 220_000, 1_000_000}
