"""The policies that need no configuration file: EndpointPickerConfig texts by the name that `--policy` takes."""

from collections.abc import Mapping

_EXPECTED_COST = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: expected-cost-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: expected-cost-scorer
  - pluginRef: max-score-picker
"""
_REFERENCE = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
  - pluginRef: prefix-cache-scorer
    weight: 3
  - pluginRef: max-score-picker
"""

DEFAULT_POLICY = "expected-cost"
REFERENCE_POLICY = "reference"
"""the default of the reference endpoint picker: queue 2, KV cache 2, prefix cache 3"""
POLICIES: Mapping[str, str] = {DEFAULT_POLICY: _EXPECTED_COST, REFERENCE_POLICY: _REFERENCE}
