from pathlib import Path

from epp.core.config.describe import describe
from epp.core.config.load import built_in_policy, default_config, load_config
from epp.core.scheduling.catalogue import CATALOGUE

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
        "  metrics: nothing is scraped",
        "  notice: epp.yaml:3: featureGates[0]: no effect: flow control is not built yet: requests never wait",
        (
            "  notice: epp.yaml:12: dataLayer.injectDefaults: nothing is scraped: every endpoint looks idle to scorers "
            "of its metrics"
        ),
    ]


def test_where_endpoints_and_metrics_come_from() -> None:
    text = (DIALECTS / "v1_5.yaml").read_text(encoding="utf-8")
    lines = describe(load_config(text, "epp.yaml", CATALOGUE))

    assert "  metrics: http://<endpoint>:<endpoint port>/metrics, engine in-house" in lines
    assert "  endpoints from the file /etc/epp/endpoints.yaml, watched" in lines
    assert "  parsers: openai-parser" in lines
