from pathlib import Path

from epp.core.config.describe import describe
from epp.core.config.load import built_in_policy, default_config, load_config
from epp.core.scheduling.catalogue import CATALOGUE

DEFAULT_BAND = "at most 5000 requests and 1000000000 bytes wait; global-strict-fairness-policy, fcfs-ordering-policy"
DIALECTS = Path(__file__).parent / "dialects"


def test_default_policy() -> None:
    assert describe(default_config(CATALOGUE))[:6] == [
        "built-in policy expected-cost",
        "  profile handler: single-profile-handler (filled in)",
        "  profile default",
        "    scorer expected-cost-scorer, weight 1, reads approx-prefix-cache-producer",
        "    picker max-score-picker",
        "  producer approx-prefix-cache-producer (filled in)",
    ]


def test_policy_of_the_reference() -> None:
    assert describe(built_in_policy("reference", CATALOGUE)) == [
        "built-in policy reference",
        "  profile handler: single-profile-handler (filled in)",
        "  profile default",
        "    scorer queue-scorer, weight 2",
        "    scorer kv-cache-utilization-scorer, weight 2",
        "    scorer prefix-cache-scorer, weight 3, reads approx-prefix-cache-producer",
        "    picker max-score-picker",
        "  producer approx-prefix-cache-producer (filled in)",
        "  saturated at queue 5 or KV cache 0.8 on the average endpoint",
        "  metrics: http://<endpoint>:<endpoint port>/metrics, engine vllm",
    ]


def test_names_types_parameters_and_notices() -> None:
    text = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: header-based-testing-filter
- type: prefix-cache-scorer
  name: prefix
  parameters: {matchLengthWeight: 0.5, lruCapacityPerServer: 100}
- type: random-picker
  parameters: {maxNumOfEndpoints: 2}
dataLayer:
  injectDefaults: false
"""
    assert describe(load_config(text, "epp.yaml", CATALOGUE)) == [
        "epp.yaml",
        "  profile handler: single-profile-handler (filled in)",
        "  profile default",
        "    filter header-based-testing-filter",
        (
            "    scorer prefix (prefix-cache-scorer), weight 1, reads approx-prefix-cache-producer "
            "[lruCapacityPerServer=100, matchLengthWeight=0.5]"
        ),
        "    picker random-picker [maxNumOfEndpoints=2]",
        "  producer approx-prefix-cache-producer (filled in) [lruCapacityPerServer=100]",
        "  saturated at queue 5 or KV cache 0.8 on the average endpoint",
        (
            "  flow control: any number may wait; a request waits at most 60 s, at most 60 s while the pool has "
            "no endpoint"
        ),
        "    usage limit static-usage-limit-policy",
        f"    other priorities from 0: {DEFAULT_BAND}",
        f"    other priorities below 0: {DEFAULT_BAND}",
        "  metrics: nothing is scraped",
        (
            "  notice: epp.yaml:12: dataLayer.injectDefaults: nothing is scraped: every endpoint looks idle to scorers "
            "of its metrics"
        ),
    ]


def test_flow_control() -> None:
    text = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: queue-scorer
- {type: round-robin-fairness-policy, name: turns}
- {type: concurrency-detector, parameters: {maxConcurrency: 8, concurrencyMode: hybrid}}
flowControl:
  maxRequests: 100
  defaultRequestTTL: 0s
  noEndpointRequestTTL: 90s
  priorityBands:
  - {priority: -5, maxBytes: 0, maxRequests: 0}
  - {priority: 10, fairnessPolicyRef: turns}
  saturationDetector: {pluginRef: concurrency-detector}
  enableEviction: true
"""
    lines = describe(load_config(text, "epp.yaml", CATALOGUE))
    begin = lines.index("  saturated at 8 requests of ours or 1000000 prompt tokens of ours on the average endpoint")
    assert lines[begin + 1 : begin + 8] == [
        (
            "  flow control: at most 100 requests wait; a request waits without limit, at most 90 s while the pool has "
            "no endpoint"
        ),
        "    usage limit static-usage-limit-policy",
        "    priority 10: at most 5000 requests and 1000000000 bytes wait; turns, fcfs-ordering-policy",
        "    priority -5: any number may wait; global-strict-fairness-policy, fcfs-ordering-policy",
        f"    other priorities from 0: {DEFAULT_BAND}",
        f"    other priorities below 0: {DEFAULT_BAND}",
        "    requests below 0 are broken off for higher ones, before their answer has begun",
    ]


def test_where_endpoints_and_metrics_come_from() -> None:
    text = (DIALECTS / "v1_5.yaml").read_text(encoding="utf-8")
    lines = describe(load_config(text, "epp.yaml", CATALOGUE))

    assert "  metrics: http://<endpoint>:<endpoint port>/metrics, engine in-house" in lines
    assert "  endpoints from the file /etc/epp/endpoints.yaml, watched" in lines
    assert "  parsers: openai-parser" in lines
