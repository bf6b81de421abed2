"""From options to the scheduling configuration in force, and to what it says about scraping."""

import secrets
import ssl

import msgspec

from epp.app.flag import FlagError
from epp.app.options import ServeOptions
from epp.core.config.load import built_in_policy, load_config
from epp.core.config.parameters import (
    EngineConfig,
    MetricsDataSourceParameters,
    MulticlusterMetricsExtractorParameters,
)
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.protocol.apis.parsers import DEFAULT_PARSERS, ParserTable
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.session_token import LONGEST_KEY_BYTES, SessionKey
from epp.edge.scrape.dialects import ENGINE_LABELS, Dialects
from epp.edge.scrape.engines import ENGINES
from epp.edge.scrape.engines.endpoint_picker import POOL_AVERAGES
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.exposition import MetricSpec, parse_metric_spec
from epp.edge.scrape.metric_names import CustomMetric, MetricNames
from epp.edge.scrape.metrics_page import PageOptions

CONFIG_TEXT_SOURCE = "--config-text"
TOTALS_EVERY = 8
NOTHING_KNOWN = MetricNames(waiting=None, running=None)


def config_text(options: ServeOptions) -> bytes | None:
    """The text of --config-file or --config-text, None where there is neither; raises FlagError."""
    if options.config_text:
        return options.config_text.encode()
    if options.config_file is None:
        return None
    try:
        return options.config_file.read_bytes()
    except OSError as error:
        raise FlagError("config-file", f"{options.config_file} cannot be read: {error.strerror}") from error


def config_of(options: ServeOptions, text: bytes | None) -> PickerConfig:
    """What a configuration text says, that of --policy without one; raises ConfigurationError."""
    if text is None:
        return built_in_policy(options.policy, CATALOGUE)
    if options.config_text:
        return _load(options, text, CONFIG_TEXT_SOURCE)
    return config_from_file(options, text)


def picker_config(options: ServeOptions) -> PickerConfig:
    """That of --config-file or --config-text, else of --policy; raises ConfigurationError or FlagError."""
    return config_of(options, config_text(options))


def config_from_file(options: ServeOptions, text: bytes) -> PickerConfig:
    """What --config-file says when it holds `text`; raises ConfigurationError."""
    return _load(options, text, str(options.config_file))


def _load(options: ServeOptions, text: str | bytes, source: str) -> PickerConfig:
    return load_config(text, source, CATALOGUE, allow_experimental=options.allow_experimental)


def session_key(options: ServeOptions) -> SessionKey:
    """The key of --session-key-file, else the pool's, else a random one; raises FlagError."""
    path = options.session_key_file
    if path is None:
        return SessionKey(own=secrets.token_bytes(LONGEST_KEY_BYTES))
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise FlagError("session-key-file", f"{path} cannot be read: {error.strerror}") from error
    if not 0 < len(key) <= LONGEST_KEY_BYTES:
        raise FlagError("session-key-file", f"{path} has {len(key)} bytes; a key has 1 to {LONGEST_KEY_BYTES}")
    return SessionKey(given=key)


def parser_table(config: PickerConfig) -> ParserTable:
    """Who reads request bodies: the parsers of the configuration in its order, else the default ones."""
    return ParserTable([config.plugin(name).type for name in config.parsers] or DEFAULT_PARSERS)


def page_options(options: ServeOptions, config: PickerConfig) -> PageOptions:
    """Where the metrics pages are: as the configuration says where it differs from the default, else as the flags."""
    source = config.metrics.source if config.metrics else None
    if source is None or source == MetricsDataSourceParameters():
        return PageOptions(
            scheme="https" if options.pages.scheme == "https" else "http",
            path=options.pages.path,
            port=options.pages.port,
            verify_certificate=options.pages.verify_tls,
        )
    return PageOptions(
        scheme=source.scheme,
        path=source.path,
        port=source.port or 0,
        verify_certificate=not source.insecure_skip_verify,
    )


def page_tls(config: PickerConfig) -> ssl.SSLContext | None:
    """For pages that need a CA or a client certificate of their own, else None; raises InvalidInput.

    The files are read once.
    """
    source = config.metrics.source if config.metrics else None
    if source is None or source.scheme != "https" or not (source.ca_cert_path or source.client_cert_path):
        return None
    try:
        context = ssl.create_default_context(cafile=source.ca_cert_path or None)
        if source.client_cert_path:
            context.load_cert_chain(source.client_cert_path, source.client_key_path)
    except OSError as error:
        files = ", ".join(filter(None, (source.ca_cert_path, source.client_cert_path, source.client_key_path)))
        problem = f"certificates of metrics pages cannot be used ({files}): {error.strerror or error}"
        raise InvalidInput(config.source, problem) from error
    if source.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def dialects(options: ServeOptions, config: PickerConfig) -> Dialects:
    """Metric names per engine: built-in ones, those of the flags for vLLM, and engineConfigs; raises InvalidInput."""
    vllm = msgspec.structs.replace(
        VLLM,
        waiting=_spec(options.pages.waiting_metric, "--total-queued-requests-metric", VLLM.waiting),
        running=_spec(options.pages.running_metric, "--total-running-requests-metric", VLLM.running),
        kv_usage=_usage(options.pages.kv_usage_metric, "--kv-cache-usage-percentage-metric", VLLM.kv_usage),
        cache_info=_spec(options.pages.cache_info_metric, "--cache-info-metric", VLLM.cache_info),
        lora_info=_spec(options.pages.lora_metric, "--lora-info-metric", VLLM.lora_info),
    )
    engines = {**ENGINES, "vllm": vllm}
    if config.metrics is None:
        return Dialects(engines, vllm, totals_every=TOTALS_EVERY)
    if config.metrics.clusters is not None:
        return Dialects({}, _averages(config.metrics.clusters, config.source), totals_every=TOTALS_EVERY)
    extractor = config.metrics.extractor
    for engine in extractor.engine_configs:
        source = f"{config.source}: engineConfigs {engine.name!r}"
        engines[engine.name] = _described(engine, engines.get(engine.name, NOTHING_KNOWN), source)
    labels = (extractor.engine_label_key,) if extractor.engine_label_key else ENGINE_LABELS
    return Dialects(engines, engines.get(extractor.default_engine, vllm), labels, TOTALS_EVERY)


def _described(engine: EngineConfig, names: MetricNames, source: str) -> MetricNames:
    """`names` with everything that an engineConfigs entry says."""
    return MetricNames(
        waiting=_spec(engine.queued_requests_spec, source, names.waiting),
        running=_spec(engine.running_requests_spec, source, names.running),
        kv_usage=_usage(engine.kv_usage_spec, source, names.kv_usage),
        cache_info=_spec(engine.cache_info_spec, source, names.cache_info),
        block_tokens_label=engine.cache_block_size_label_name or names.block_tokens_label,
        blocks_label=engine.cache_num_blocks_label_name or names.blocks_label,
        block_tokens=_spec(engine.cache_block_size_spec, source, names.block_tokens),
        blocks=_spec(engine.cache_num_blocks_spec, source, names.blocks),
        lora_info=_spec(engine.lora_spec, source, names.lora_info),
        totals=names.totals,
        custom=tuple(
            CustomMetric(metric.attribute_key, parse_metric_spec(metric.metric_spec, source))
            for metric in engine.custom_metrics
        ),
    )


def _averages(named: MulticlusterMetricsExtractorParameters, config_source: str) -> MetricNames:
    """What the picker of a cluster calls its averages; the named metrics first."""
    names, source = POOL_AVERAGES, f"{config_source}: multicluster-metrics-extractor"
    if named.queue_size_metric:
        queue = parse_metric_spec(named.queue_size_metric, source)
        names = msgspec.structs.replace(names, waiting=queue, waiting_else=names.waiting)
    return msgspec.structs.replace(names, kv_usage=_usage(named.kv_cache_utilization_metric, source, names.kv_usage))


def _spec(text: str, source: str, default: MetricSpec | None) -> MetricSpec | None:
    return parse_metric_spec(text, source) if text else default


def _usage(text: str, source: str, known: tuple[MetricSpec, ...]) -> tuple[MetricSpec, ...]:
    """The named metric first, then the engine's own spellings."""
    if not text:
        return known
    named = parse_metric_spec(text, source)
    return (named, *(spec for spec in known if spec != named))
