"""decode-filter, prefill-filter, encode-filter: keep the endpoints that can do one stage of inference.

The label `llm-d.ai/role` says what a pod does; a pod without it decodes.

| role                    | decode | prefill | encode |
| ----------------------- | ------ | ------- | ------ |
| none                    | yes    | no      | no     |
| `decode`                | yes    | no      | no     |
| `prefill`               | no     | yes     | no     |
| `encode`                | no     | no      | yes    |
| `prefill-decode`, `both` | yes    | yes     | no     |
| `encode-prefill`        | no     | yes     | yes    |
| `encode-prefill-decode` | yes    | yes     | yes    |
Source: the filters of the same names of the reference endpoint picker.
"""

from epp.core.scheduling.filters.by_label import ByLabelFilter, ByLabelParameters

ROLE_LABEL = "llm-d.ai/role"

DECODE = ByLabelParameters(ROLE_LABEL, ("decode", "prefill-decode", "both", "encode-prefill-decode"), True)
PREFILL = ByLabelParameters(
    ROLE_LABEL, ("prefill", "encode-prefill", "prefill-decode", "both", "encode-prefill-decode")
)
ENCODE = ByLabelParameters(ROLE_LABEL, ("encode", "encode-prefill", "encode-prefill-decode"))


def decode_filter() -> ByLabelFilter:
    """Endpoints that decode."""
    return ByLabelFilter(DECODE)


def prefill_filter() -> ByLabelFilter:
    """Endpoints that prefill."""
    return ByLabelFilter(PREFILL)


def encode_filter() -> ByLabelFilter:
    """Endpoints that encode images and the like."""
    return ByLabelFilter(ENCODE)
