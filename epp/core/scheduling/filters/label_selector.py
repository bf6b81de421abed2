"""label-selector-filter: keeps the endpoints that a Kubernetes label selector selects.

All of matchLabels and matchExpressions must hold; an empty selector selects everybody. In: the label has one of the
values. NotIn: it has none of them, or there is no such label. Exists, DoesNotExist: there is such a label, or none.
Source: label-selector-filter (by-label-selector) of the reference endpoint picker; LabelSelector of Kubernetes meta/v1.
"""

from collections.abc import Mapping
from typing import Literal

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import LabelFilter


class LabelRequirement(Section, frozen=True):
    """One of matchExpressions; `values` belong to In and NotIn alone."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        needs_values = self.operator in ("In", "NotIn")
        if needs_values and not self.values:
            raise ValueError(f"the operator {self.operator} needs values")
        if self.values and not needs_values:
            raise ValueError(f"the operator {self.operator} takes no values")

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an endpoint with these labels satisfies it."""
        wanted = self.operator in ("In", "Exists")
        found = self.key in labels and (not self.values or labels[self.key] in self.values)
        return found == wanted


class LabelSelectorParameters(Section, frozen=True):
    """A LabelSelector."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[LabelRequirement, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether an endpoint with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.holds(labels) for requirement in self.match_expressions
        )


class LabelSelectorFilter:
    """See the module."""

    def __init__(self, parameters: LabelSelectorParameters) -> None:
        self._keep = LabelFilter(parameters.selects)

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:  # noqa: ARG002  protocol's shape
        """See the module."""
        return self._keep(candidates)
