"""Times of many requests, boiled down to quantiles."""

from collections.abc import Sequence

import msgspec


class Quantiles(msgspec.Struct, frozen=True):
    """Median and 99th percentile, in milliseconds; 0 when there was nothing to measure."""

    p50_ms: float = 0.0
    p99_ms: float = 0.0

    def above(self, baseline: "Quantiles") -> "Quantiles":
        """What is added to `baseline`, quantile by quantile; negative where this one is faster."""
        return Quantiles(self.p50_ms - baseline.p50_ms, self.p99_ms - baseline.p99_ms)


def quantiles_of(taken_s: Sequence[float]) -> Quantiles:
    """Quantiles of times in seconds, in any order."""
    ordered = sorted(taken_s)
    return Quantiles(quantile(ordered, 0.5) * 1e3, quantile(ordered, 0.99) * 1e3)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that at least this share of them does not exceed; 0 for no values."""
    if not ordered:
        return 0.0
    rank = -(-share * len(ordered) // 1)  # rounded up
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]
