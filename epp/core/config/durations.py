"""Durations as Go writes them: `200ms`, `1m30s`, `1.5h`, `0`."""

import re

UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"\+?(?:{_PART.pattern})+")
_LONGEST_TEXT = 100


class Seconds(float):
    """A field of the configuration that is written as a duration."""

    __slots__ = ()


def parse_duration(text: str) -> Seconds:
    """Seconds of a Go duration (time.ParseDuration); raises ValueError, also for negative ones."""
    if text in ("0", "+0"):
        return Seconds(0.0)
    if len(text) > _LONGEST_TEXT or not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:_LONGEST_TEXT]!r} is not a duration such as 200ms, 5s or 1m30s")
    return Seconds(sum(float(number) * UNITS_S[unit] for number, unit in _PART.findall(text)))
