import pytest

from epp.core.domain.roles import ROLE_LABEL
from epp.core.scheduling.filters.by_label import ByLabelFilter
from epp.core.scheduling.filters.roles import decode_filter, encode_filter, prefill_filter
from tests.support.small_pool import SmallPool

ROLES = (
    "decode",
    "prefill",
    "encode",
    "prefill-decode",
    "both",
    "encode-prefill",
    "encode-prefill-decode",
    "encode-decode",
    "",
)


@pytest.mark.parametrize(
    ("role_filter", "left"),
    [
        (decode_filter(), {"decode", "prefill-decode", "both", "encode-prefill-decode", None}),
        (prefill_filter(), {"prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode"}),
        (encode_filter(), {"encode", "encode-prefill", "encode-prefill-decode"}),
    ],
    ids=["decode", "prefill", "encode"],
)
def test_roles(role_filter: ByLabelFilter, left: set[str | None]) -> None:
    pool = SmallPool(len(ROLES) + 1, labels=[{ROLE_LABEL: role} for role in ROLES])
    kept = role_filter.filter(pool.cycle(), pool.candidates)
    assert {endpoint.labels.get(ROLE_LABEL) for endpoint in kept.endpoints} == left
