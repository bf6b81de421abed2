"""Parameters for every plugin type, also for those that cannot do without."""

from collections.abc import Mapping
from typing import Any

import msgspec

from epp.core.config.catalogue import PluginType

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "header-label-affinity-scorer": {"headerName": "X-Zone", "labelKey": "zone"},
    "endpoint-attribute-scorer": {
        "attributeKey": "WaitingQueueSize",
        "algorithm": {"type": "linear_lower_is_better"},
    },
    "by-label": {"label": "zone", "validValues": ["a"]},
    "utilization-filter": {"conditions": [{"metric": "active-requests", "maxValue": 10}]},
    "session-id-producer": {"headerName": "x-session-id"},
    "disaggregatedset-rollout-screener": {
        "scope": {"labelSelector": "app=vllm"},
        "revisionGating": {"mode": "sum", "requireRoles": {"values": ["prefill", "decode"]}},
    },
    "request-attribute-reporter": {"attributes": [{"key": {"name": "cost"}, "expression": "usage.total_tokens"}]},
    "endpoint-attribute-filter": {
        "attribute": "WaitingQueueSize",
        "algorithm": {"type": "threshold", "threshold": {"operator": "LessThan", "value": 10}},
    },
}


def example_of(plugin: PluginType) -> msgspec.Struct:
    """The least that a user must write."""
    return msgspec.convert(REQUIRED.get(plugin.name, {}), plugin.parameters)
