"""What flags and EndpointPickerConfig together say about scraping."""

import ssl
from pathlib import Path

import msgspec
import pytest
import trustme

from epp.app.configuration import dialects, page_options, page_tls, picker_config, session_key
from epp.app.flag import FlagError
from epp.app.options import ServeOptions, parse_flags
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import PickerConfig
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import InvalidInput
from epp.core.scheduling.session_token import SessionKey
from epp.edge.scrape.engines.endpoint_picker import POOL_AVERAGES
from epp.edge.scrape.engines.sglang import SGLANG
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.exposition import MetricSpec
from epp.edge.scrape.metric_names import CustomMetric, MetricNames
from epp.edge.scrape.metrics_page import PageOptions

HEAD = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
"""
ENGINES = """\
plugins:
- type: core-metrics-extractor
  parameters:
    defaultEngine: mine
    engineConfigs:
    - name: mine
      queuedRequestsSpec: mine:waiting
      kvUsageSpec: mine:kv{pool=main}
      cacheBlockSizeLabelName: tokens
    - name: other
      runningRequestsSpec: other:running
"""
SOURCE = """\
plugins:
- type: metrics-data-source
  parameters: {scheme: https, path: /stats, port: 9400, insecureSkipVerify: false}
"""


def options_of(**given: str) -> ServeOptions:
    return parse_flags({name.replace("_", "-"): text for name, text in given.items()}, {})


def with_text(text: str, **given: str) -> tuple[ServeOptions, PickerConfig]:
    options = options_of(config_text=HEAD + text, **given)
    return options, picker_config(options)


def test_without_a_file_the_default_policy_applies() -> None:
    config = picker_config(options_of())
    assert [scorer.name for scorer in config.profiles[0].scorers] == ["expected-cost-scorer"]


def test_the_policy_of_the_reference_is_one_flag_away() -> None:
    config = picker_config(options_of(policy="reference"))
    weights = {scorer.name: scorer.weight for scorer in config.profiles[0].scorers}
    assert weights == {"queue-scorer": 2, "kv-cache-utilization-scorer": 2, "prefix-cache-scorer": 3}


def test_a_file_is_read_and_named_in_its_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "picker.yaml"
    path.write_text(HEAD + "plugins:\n- type: queue-scorer\n- type: no-such-scorer\n")
    with pytest.raises(ConfigurationError, match=rf"^{path}:5: plugins\[1\]\.type: "):
        picker_config(options_of(config_file=str(path)))


def test_a_file_that_cannot_be_read_names_the_flag(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "missing.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(FlagError, match=reason) as raised:
            picker_config(options_of(config_file=str(path)))
        assert str(raised.value).startswith(f"--config-file: {path} cannot be read: ")


def test_the_text_of_a_flag_is_named_after_it() -> None:
    with pytest.raises(ConfigurationError, match=r"^--config-text:3: "):
        with_text("nonsense: 1\n")


def names_of(options: ServeOptions, config: PickerConfig, engine: str = "") -> MetricNames:
    """How an endpoint is read whose pod is labelled with `engine`, or not at all."""
    labels = {"llm-d.ai/engine-type": engine} if engine else {}
    endpoint = Endpoint.create(namespace="default", pod="a", rank=0, address="10.0.0.1", port=8000, labels=labels)
    return dialects(options, config).names_for(endpoint)


def test_metric_names_are_those_of_vllm_unless_a_label_says_otherwise() -> None:
    options = options_of()
    config = picker_config(options)
    assert names_of(options, config) == names_of(options, config, "vllm") == VLLM
    assert names_of(options, config, "sglang") == SGLANG
    assert names_of(options, config, "never-heard-of") == VLLM


def test_flags_name_other_metrics_of_vllm() -> None:
    options = options_of(
        total_queued_requests_metric="q{kind=all}",
        total_running_requests_metric="r",
        kv_cache_usage_percentage_metric="vllm:gpu_cache_usage_perc",
        lora_info_metric="l",
        cache_info_metric="c",
    )
    config = picker_config(options)
    names = names_of(options, config)

    assert names.waiting == MetricSpec("q", (("kind", "all"),))
    assert (names.running, names.lora_info, names.cache_info) == (MetricSpec("r"), MetricSpec("l"), MetricSpec("c"))
    assert names.kv_usage == (MetricSpec("vllm:gpu_cache_usage_perc"), MetricSpec("vllm:kv_cache_usage_perc"))
    assert names_of(options, config, "sglang") == SGLANG


def test_an_empty_flag_means_the_default() -> None:
    options = options_of(total_queued_requests_metric="", kv_cache_usage_percentage_metric="")
    assert names_of(options, picker_config(options)) == VLLM


def test_engines_of_the_configuration_are_as_it_describes_them() -> None:
    options, config = with_text(ENGINES, total_running_requests_metric="r")
    mine = MetricNames(
        waiting=MetricSpec("mine:waiting"),
        running=None,
        kv_usage=(MetricSpec("mine:kv", (("pool", "main"),)),),
        block_tokens_label="tokens",
    )
    assert names_of(options, config) == mine, "the default engine"
    assert names_of(options, config, "other").running == MetricSpec("other:running")
    assert names_of(options, config, "vllm").running == MetricSpec("r")


def test_what_the_configuration_leaves_out_of_a_known_engine_stays() -> None:
    options, config = with_text(ENGINES.replace("name: other", "name: sglang"))
    expected = msgspec.structs.replace(SGLANG, running=MetricSpec("other:running"))
    assert names_of(options, config, "sglang") == expected


def test_custom_metrics_are_read_beside_what_an_engine_has() -> None:
    options, config = with_text(
        "plugins:\n- type: core-metrics-extractor\n  parameters:\n    engineConfigs:\n"
        "    - {name: vllm, customMetrics: [{attributeKey: depth, metricSpec: 'm:depth{tier=gold}'}]}\n"
    )
    custom = (CustomMetric("depth", MetricSpec("m:depth", (("tier", "gold"),))),)
    assert names_of(options, config) == msgspec.structs.replace(VLLM, custom=custom)
    assert names_of(options, config, "sglang").custom == ()


def test_a_metric_name_that_is_none_names_its_flag() -> None:
    options = options_of(lora_info_metric="9lives{")
    with pytest.raises(InvalidInput, match=r"^--lora-info-metric: '9lives{' is not a metric"):
        dialects(options, picker_config(options))


def test_a_label_that_is_none_names_its_engine() -> None:
    options, config = with_text(ENGINES.replace("pool=main", "pool"))
    with pytest.raises(InvalidInput, match=r"engineConfigs 'mine': 'pool' in 'mine:kv{pool}' is not label=value"):
        dialects(options, config)


def test_the_page_is_where_the_flags_say() -> None:
    options = options_of(
        model_server_metrics_port="9400",
        model_server_metrics_path="/stats",
        model_server_metrics_scheme="https",
        model_server_metrics_https_insecure_skip_verify="false",
    )
    expected = PageOptions(scheme="https", path="/stats", port=9400, verify_certificate=True)
    assert page_options(options, picker_config(options)) == expected


def test_by_default_it_is_the_serving_port_over_http() -> None:
    options = options_of()
    assert page_options(options, picker_config(options)) == PageOptions("http", "/metrics", 0, verify_certificate=False)


def test_a_metrics_source_of_the_configuration_goes_before_the_flags() -> None:
    options, config = with_text(SOURCE, model_server_metrics_path="/flag", model_server_metrics_port="1")
    assert page_options(options, config) == PageOptions("https", "/stats", 9400, verify_certificate=True)


def test_a_metrics_source_that_says_nothing_leaves_the_flags_in_force() -> None:
    options, config = with_text("plugins:\n- type: metrics-data-source\n", model_server_metrics_path="/flag")
    assert page_options(options, config).path == "/flag"


def test_the_pages_of_clusters_are_where_their_source_says() -> None:
    text = "plugins:\n- type: multicluster-metrics-data-source\n"
    options, config = with_text(text, model_server_metrics_path="/flag", model_server_metrics_port="1")
    assert page_options(options, config) == PageOptions("http", "/metrics", 0, verify_certificate=True)


def test_named_averages_are_looked_for_first() -> None:
    options, config = with_text(
        "plugins:\n- type: multicluster-metrics-data-source\n- type: multicluster-metrics-extractor\n"
        "  parameters: {queueSizeMetric: 'queue{pool=a}', kvCacheUtilizationMetric: kv}\n"
    )
    names = names_of(options, config)
    assert (names.waiting, names.waiting_else) == (MetricSpec("queue", (("pool", "a"),)), POOL_AVERAGES.waiting)
    assert names.kv_usage == (MetricSpec("kv"), *POOL_AVERAGES.kv_usage)
    assert names_of(options, config, "sglang") == names, "a label says nothing of a cluster"


def source_with(**parameters: str) -> PickerConfig:
    written = "".join(f"    {name}: {value}\n" for name, value in parameters.items())
    return with_text(f"plugins:\n- type: multicluster-metrics-data-source\n  parameters:\n{written}")[1]


def test_certificates_of_metrics_pages(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, client = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("picker.example.com").private_key_and_cert_chain_pem.write_to_path(str(client))

    trusting = page_tls(source_with(scheme="https", caCertPath=str(ca)))
    assert trusting is not None
    assert len(trusting.get_ca_certs()) == 1
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_REQUIRED, True)
    blind = page_tls(
        source_with(scheme="https", insecureSkipVerify="true", clientCertPath=str(client), clientKeyPath=str(client))
    )
    assert blind is not None
    assert (blind.verify_mode, blind.check_hostname) == (ssl.CERT_NONE, False)


def test_without_certificates_of_its_own_a_page_needs_no_context(tmp_path: Path) -> None:
    assert page_tls(picker_config(options_of())) is None
    assert page_tls(source_with(scheme="https")) is None
    assert page_tls(source_with(scheme="http", caCertPath=str(tmp_path / "none"))) is None


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=rf"^--config-text: certificates of metrics pages cannot be used \({path}\)"):
        page_tls(source_with(scheme="https", caCertPath=str(path)))


def test_a_client_certificate_needs_its_key() -> None:
    with pytest.raises(ConfigurationError, match="clientCertPath and clientKeyPath are given together or not at all"):
        source_with(scheme="https", clientCertPath="/client.pem")


def test_the_session_key_comes_from_its_file_or_from_chance(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret\n")
    assert session_key(options_of(session_key_file=str(path))) == SessionKey(b"secret")
    assert session_key(options_of()) != session_key(options_of())


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "has 0 bytes"), (b"x" * 65, "has 65 bytes"), (None, "No such file")]
)
def test_a_session_key_that_cannot_be_used_names_its_flag(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FlagError, match=f"--session-key-file: .*{says}"):
        session_key(options_of(session_key_file=str(path)))


def test_totals_of_the_engine_are_read_now_and_then_only() -> None:
    options, config = with_text("plugins:\n- type: queue-scorer\n")
    page = b"vllm:num_requests_waiting 1\nvllm:generation_tokens_total 7\n"
    endpoint = Endpoint.create(namespace="n", pod="p", rank=0, address="10.0.0.1", port=1)
    for engines in (dialects(options_of(), picker_config(options_of())), dialects(options, config)):
        read_load = engines.reader_of(endpoint)
        read = [read_load(page).totals.output_tokens for _ in range(16)]
        assert read == ([7.0] + [None] * 7) * 2
