"""The built-in plugin type that looks at requests which come together."""

from epp.core.config.catalogue import PluginKind, Stability
from epp.core.scheduling.built_in import BuiltIn, built_in
from epp.core.scheduling.producers.burst_prefix_cache import BurstPrefixCacheParameters, BurstPrefixCacheProducer

BURST_PREFIX_PRODUCER = "burst-prefix-cache-producer"

BURST_TYPES: tuple[BuiltIn, ...] = (
    built_in(
        BURST_PREFIX_PRODUCER,
        PluginKind.PRODUCER,
        BurstPrefixCacheParameters,
        BurstPrefixCacheProducer,
        stability=Stability.ALPHA,
    ),
)
