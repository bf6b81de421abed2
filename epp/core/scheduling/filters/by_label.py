"""by-label: keeps endpoints whose label has one of the given values.

An endpoint without the label stays only with allowsNoLabel. Deprecated in the reference, which has
label-selector-filter in its place.
Source: by-label of the reference endpoint picker.
"""

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.per_snapshot import LabelFilter


class ByLabelParameters(Section, frozen=True):
    """`label` is required, and something must be left to accept."""

    label: Text
    valid_values: tuple[str, ...] = ()
    allows_no_label: bool = False

    def __post_init__(self) -> None:
        if not self.valid_values and not self.allows_no_label:
            raise ValueError("validValues is empty and allowsNoLabel false, so that no endpoint would be left")


class ByLabelFilter:
    """See the module."""

    def __init__(self, parameters: ByLabelParameters) -> None:
        label, values, or_none = parameters.label, frozenset(parameters.valid_values), parameters.allows_no_label
        self._keep = LabelFilter(lambda labels: labels[label] in values if label in labels else or_none)

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:  # noqa: ARG002  protocol's shape
        """See the module."""
        return self._keep(candidates)
