"""context-length-aware: sends a prompt to the endpoints that are meant for its length. Scorer, and filter if enabled.

The label (default `llm-d.ai/context-length-range`) holds the lengths in tokens that an endpoint is meant for, as
`min-max`. With n the prompt tokens and width = max - min:
- min <= n <= max: 0.3 + 0.7 * (0.7 / (1 + width / 10000) + 0.3 * (max - n) / width), and 1 if the width is 0;
- n outside: 0.3 / (1 + distance / 1000), distance in tokens to the nearer end;
- no label: 0.5; a label that is no range: 0.
With enableFiltering the endpoints whose range does not contain n are left out, those without the label stay.
Source: context-length-aware of the reference endpoint picker.
"""

import re

import msgspec
import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import Mask, PerSnapshot
from epp.core.state.columns import FloatColumn
from epp.core.state.snapshot import PoolSnapshot

NEUTRAL = 0.5
EDGE = 0.3
"""all that are in range score above it, all others below"""
WIDTH_SCALE_TOKENS = 10000.0
DISTANCE_SCALE_TOKENS = 1000.0

_RANGE = re.compile(r"\s*([0-9]{1,15})\s*-\s*([0-9]{1,15})\s*")


class ContextLengthAwareParameters(Section, frozen=True):
    """Parameters of the reference."""

    label: Text = "llm-d.ai/context-length-range"
    enable_filtering: bool = False


class LengthRanges(msgspec.Struct, frozen=True):
    """Columns over a snapshot, shape (endpoints,)."""

    lowest: FloatColumn
    highest: FloatColumn
    is_labelled: Mask
    is_range: Mask


class ContextLengthAware:
    """See the module."""

    def __init__(self, parameters: ContextLengthAwareParameters) -> None:
        self._label = parameters.label
        self._filters = parameters.enable_filtering
        self._ranges = PerSnapshot(self._read_labels)

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """Those in range and those without the label; everybody unless filtering is enabled."""
        if not self._filters:
            return candidates
        ranges, where = self._ranges.of(candidates.snapshot), candidates.positions
        tokens = cycle.tokens
        in_range = ranges.is_range & (ranges.lowest <= tokens) & (tokens <= ranges.highest)
        return candidates.keep((in_range | ~ranges.is_labelled)[where])

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        ranges, where = self._ranges.of(candidates.snapshot), candidates.positions
        tokens = float(cycle.tokens)
        lowest, highest = ranges.lowest[where], ranges.highest[where]
        width = highest - lowest
        distance = np.maximum(np.maximum(lowest - tokens, tokens - highest), 0.0)
        headroom = np.where(width > 0.0, (highest - tokens) / np.maximum(width, 1.0), 1.0)
        inside = EDGE + (1.0 - EDGE) * (0.7 / (1.0 + width / WIDTH_SCALE_TOKENS) + 0.3 * headroom)
        outside = EDGE / (1.0 + distance / DISTANCE_SCALE_TOKENS)
        scores = np.where(distance > 0.0, outside, inside)
        scores[~ranges.is_range[where]] = 0.0
        scores[~ranges.is_labelled[where]] = NEUTRAL
        return scores

    def _read_labels(self, snapshot: PoolSnapshot) -> LengthRanges:
        count = len(snapshot.endpoints)
        ranges = LengthRanges(np.zeros(count), np.zeros(count), np.zeros(count, np.bool_), np.zeros(count, np.bool_))
        for position, endpoint in enumerate(snapshot.endpoints):
            text = endpoint.labels.get(self._label)
            if text is None:
                continue
            ranges.is_labelled[position] = True
            found = _RANGE.fullmatch(text)
            if found and int(found[1]) <= int(found[2]):
                ranges.is_range[position] = True
                ranges.lowest[position], ranges.highest[position] = float(found[1]), float(found[2])
        return ranges
