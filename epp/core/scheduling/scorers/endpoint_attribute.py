"""endpoint-attribute-scorer: prefers endpoints by one number that the configuration names.

share = (v - min) / (max - min), clamped to 0..1; the score is the share (linear_higher_is_better) or 1 - share
(linear_lower_is_better). With fixedRange min and max are given; with adaptiveRange (the default) they are those of the
candidates, and all equal is 1. An endpoint whose attribute is unknown has 0 and does not take part in the range.
Source: endpoint-attribute-scorer of the reference endpoint picker; attributes: epp.core.scheduling.attributes.
"""

import math
from typing import Literal

import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.attributes import read_attribute
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn


class FixedRange(Section, frozen=True):
    """`min` is less than `max`."""

    min: float
    max: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min) and math.isfinite(self.max) and self.min < self.max):
            raise ValueError(f"fixedRange needs min < max, got min {self.min:g} and max {self.max:g}")


class AdaptiveRange(Section, frozen=True):
    """The range of the candidates; nothing to set."""


class Normalization(Section, frozen=True):
    """One of the two; neither means adaptiveRange."""

    fixed_range: FixedRange | None = None
    adaptive_range: AdaptiveRange | None = None

    def __post_init__(self) -> None:
        if self.fixed_range is not None and self.adaptive_range is not None:
            raise ValueError("fixedRange and adaptiveRange exclude one another")


class LinearAlgorithm(Section, frozen=True):
    """Which end of the range is better."""

    type: Literal["linear_lower_is_better", "linear_higher_is_better"]
    normalization: Normalization = Normalization()


class EndpointAttributeScorerParameters(Section, frozen=True):
    """`attributeKey` and `algorithm` are required."""

    attribute_key: Text
    algorithm: LinearAlgorithm
    producer: str = "core-metrics-extractor"


class EndpointAttributeScorer:
    """See the module."""

    def __init__(self, parameters: EndpointAttributeScorerParameters) -> None:
        self._key = parameters.attribute_key
        self._lower_is_better = parameters.algorithm.type == "linear_lower_is_better"
        self._range = parameters.algorithm.normalization.fixed_range

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        values = read_attribute(self._key, cycle, candidates)
        known = ~np.isnan(values)
        if not known.any():
            return np.zeros(len(values))
        if self._range is not None:
            lowest, highest = self._range.min, self._range.max
        else:
            lowest, highest = float(values[known].min()), float(values[known].max())
        span = highest / 2.0 - lowest / 2.0  # halves, because the difference of two large numbers may overflow
        if span == 0.0:
            return known.astype(np.float64)
        with np.errstate(over="ignore"):  # a value far outside a narrow fixed range
            share = np.clip((values / 2.0 - lowest / 2.0) / span, 0.0, 1.0)
        return np.where(known, 1.0 - share if self._lower_is_better else share, 0.0)
