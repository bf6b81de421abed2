"""From options to the scheduling configuration in force, and to what it says about scraping."""

import msgspec

from epp.app.options import FlagError, ServeOptions
from epp.core.config.load import default_config, load_config
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE
from epp.edge.scrape.exposition import MetricSpec, parse_metric_spec
from epp.edge.scrape.metrics_page import PageOptions
from epp.edge.scrape.vllm import VLLM, MetricNames

CONFIG_TEXT_SOURCE = "--config-text"


def picker_config(options: ServeOptions) -> PickerConfig:
    """The configuration of --config-file or --config-text, else the default; raises ConfigurationError or FlagError."""
    if options.config_text:
        return load_config(options.config_text, CONFIG_TEXT_SOURCE, CATALOGUE)
    if options.config_file is None:
        return default_config(CATALOGUE)
    try:
        text = options.config_file.read_bytes()
    except OSError as error:
        raise FlagError("config-file", f"{options.config_file} cannot be read: {error.strerror}") from error
    return load_config(text, str(options.config_file), CATALOGUE)


def page_options(options: ServeOptions, config: PickerConfig) -> PageOptions:
    """Where the metrics pages are: as the configuration says where it differs from the default, else as the flags."""
    source = config.metrics.source if config.metrics else None
    if source is None or source == type(source)():
        return PageOptions(
            scheme="https" if options.page_scheme == "https" else "http",
            path=options.page_path,
            port=options.page_port,
            verify_certificate=options.page_verify_tls,
        )
    return PageOptions(
        scheme=source.scheme,
        path=source.path,
        port=source.port or 0,
        verify_certificate=not source.insecure_skip_verify,
    )


def metric_names(options: ServeOptions, config: PickerConfig) -> MetricNames:
    """Names of the flags, replaced by the engineConfigs entry of the default engine; raises InvalidInput for a spec."""
    names = MetricNames(
        waiting=_spec(options.waiting_metric, "--total-queued-requests-metric", VLLM.waiting),
        running=_spec(options.running_metric, "--total-running-requests-metric", VLLM.running),
        kv_usage=_alternatives(options.kv_usage_metric, "--kv-cache-usage-percentage-metric"),
        cache_info=_spec(options.cache_info_metric, "--cache-info-metric", VLLM.cache_info),
        lora_info=_spec(options.lora_metric, "--lora-info-metric", VLLM.lora_info),
    )
    extractor = config.metrics.extractor if config.metrics else None
    engine = (
        next((each for each in extractor.engine_configs if each.name == extractor.default_engine), None)
        if extractor
        else None
    )
    if engine is None:
        return names
    source = f"{config.source}: engineConfigs {engine.name!r}"
    return msgspec.structs.replace(
        names,
        waiting=_spec(engine.queued_requests_spec, source, names.waiting),
        running=_spec(engine.running_requests_spec, source, names.running),
        kv_usage=(_spec(engine.kv_usage_spec, source, names.kv_usage[0]), *names.kv_usage[1:]),
        cache_info=_spec(engine.cache_info_spec, source, names.cache_info),
        lora_info=_spec(engine.lora_spec, source, names.lora_info),
        block_tokens_label=engine.cache_block_size_label_name or names.block_tokens_label,
        blocks_label=engine.cache_num_blocks_label_name or names.blocks_label,
    )


def _spec(text: str, source: str, default: MetricSpec) -> MetricSpec:
    return parse_metric_spec(text, source) if text else default


def _alternatives(text: str, source: str) -> tuple[MetricSpec, ...]:
    """The named metric first, then vLLM's own spellings, newest first."""
    named = _spec(text, source, VLLM.kv_usage[0])
    return (named, *(spec for spec in VLLM.kv_usage if spec != named))
