"""endpoint-attribute-filter: keeps endpoints by comparing one number with a threshold.

An endpoint stays if `attribute operator value` holds; one whose attribute is unknown stays with onMissing Pass (the
default) and goes with Fail. With fallbackOnEmpty everybody stays when nobody would.
Source: endpoint-attribute-filter of the reference endpoint picker; attributes: epp.core.scheduling.attributes.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.attributes import read_attribute
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import Mask
from epp.core.state.columns import FloatColumn

Operator = Literal["LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "Equal", "NotEqual"]

COMPARISONS: Mapping[Operator, Callable[[FloatColumn, float], Mask]] = {
    "LessThan": operator.lt,
    "LessThanOrEqual": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqual": operator.ge,
    "Equal": operator.eq,
    "NotEqual": operator.ne,
}


class Threshold(Section, frozen=True):
    """Both are required."""

    operator: Operator
    value: float


class ThresholdAlgorithm(Section, frozen=True):
    """The only algorithm of the reference."""

    type: Literal["threshold"]
    threshold: Threshold


class EndpointAttributeFilterParameters(Section, frozen=True):
    """`attribute` and `algorithm` are required."""

    attribute: Text
    algorithm: ThresholdAlgorithm
    producer: str = "core-metrics-extractor"
    on_missing: Literal["Pass", "Fail"] = "Pass"
    fallback_on_empty: bool = False


class EndpointAttributeFilter:
    """See the module."""

    def __init__(self, parameters: EndpointAttributeFilterParameters) -> None:
        self._key = parameters.attribute
        self._compare = COMPARISONS[parameters.algorithm.threshold.operator]
        self._value = parameters.algorithm.threshold.value
        self._passes_missing = parameters.on_missing == "Pass"
        self._fallback = parameters.fallback_on_empty

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        values = read_attribute(self._key, cycle, candidates)
        stays = np.where(np.isnan(values), self._passes_missing, self._compare(values, self._value))
        return candidates if self._fallback and not stays.any() else candidates.keep(stays)
