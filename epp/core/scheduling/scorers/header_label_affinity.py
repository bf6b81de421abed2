"""header-label-affinity-scorer: prefers endpoints whose label has the value of a request header.

score = 1 if the header `headerName` is there and equals the endpoint's label `labelKey`, else 0.
Source: header-label-affinity-scorer of the reference endpoint picker.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle, Positions
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.columns import FloatColumn
from epp.core.state.snapshot import PoolSnapshot

NO_LABEL = -1


class HeaderLabelAffinityParameters(Section, frozen=True):
    """Both are required."""

    header_name: Text
    label_key: Text


class LabelCodes(msgspec.Struct, frozen=True):
    """The values of one label over a snapshot."""

    code_of: Mapping[str, int]
    codes: Positions
    """shape (endpoints,); -1 without the label"""


class HeaderLabelAffinityScorer:
    """See the module."""

    def __init__(self, parameters: HeaderLabelAffinityParameters) -> None:
        self._header = parameters.header_name.lower()
        self._label = parameters.label_key
        self._labels = PerSnapshot(self._read_labels)

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        wanted = cycle.request.headers.get(self._header)
        labels = self._labels.of(candidates.snapshot)
        code = None if wanted is None else labels.code_of.get(wanted)
        if code is None:
            return np.zeros(len(candidates))
        return np.where(labels.codes[candidates.positions] == code, 1.0, 0.0)

    def _read_labels(self, snapshot: PoolSnapshot) -> LabelCodes:
        code_of: dict[str, int] = {}
        codes = np.full(len(snapshot.endpoints), NO_LABEL, dtype=np.intp)
        for position, endpoint in enumerate(snapshot.endpoints):
            value = endpoint.labels.get(self._label)
            if value is not None:
                codes[position] = code_of.setdefault(value, len(code_of))
        return LabelCodes(code_of, codes)
