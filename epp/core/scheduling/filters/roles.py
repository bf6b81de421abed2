"""decode-filter, prefill-filter, encode-filter: keep the endpoints that can do one stage of inference.

Which role can do what: epp.core.domain.roles.
Source: the filters of the same names of the reference endpoint picker.
"""

from epp.core.domain.roles import DECODE_ROLES, ENCODE_ROLES, PREFILL_ROLES, ROLE_LABEL
from epp.core.scheduling.filters.by_label import ByLabelFilter, ByLabelParameters

DECODE = ByLabelParameters(ROLE_LABEL, DECODE_ROLES, True)
PREFILL = ByLabelParameters(ROLE_LABEL, PREFILL_ROLES)
ENCODE = ByLabelParameters(ROLE_LABEL, ENCODE_ROLES)


def decode_filter() -> ByLabelFilter:
    """Endpoints that decode."""
    return ByLabelFilter(DECODE)


def prefill_filter() -> ByLabelFilter:
    """Endpoints that prefill."""
    return ByLabelFilter(PREFILL)


def encode_filter() -> ByLabelFilter:
    """Endpoints that encode images and the like."""
    return ByLabelFilter(ENCODE)
