"""The plugin types of a picker in front of clusters: those of a single cluster under another name.

Candidates are the gateways of clusters, and what is scraped are averages over the servers of each, so the scorers take
them as they are: what we sent to a whole cluster is no correction of an average.
Source: the multicluster plugins of the reference endpoint picker.
"""

from epp.core.config.catalogue import Need, NoParameters, PluginKind, Stability
from epp.core.scheduling.built_in import BuiltIn, built_in
from epp.core.scheduling.filters.session_affinity import SessionAffinityFilter
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.scheduling.scorers.kv_cache import KvCacheScorer
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.scheduling.scorers.scraped_signal import ScrapedSignalParameters
from epp.core.scheduling.session_types import session_affinity

_PREFIX_PRODUCER = "multicluster-approx-prefix-cache-producer"
_AS_SCRAPED = ScrapedSignalParameters(inflight_correction=False)


def _prefix_matches(parameters: PrefixCacheParameters) -> tuple[Need, ...]:
    return (Need("prefix_match_info_producer_name", _PREFIX_PRODUCER, parameters.index_parameters),)


MULTICLUSTER: tuple[BuiltIn, ...] = (
    built_in(
        "multicluster-queue-scorer",
        PluginKind.SCORER,
        NoParameters,
        lambda _name, _p: QueueScorer(_AS_SCRAPED),
        stability=Stability.ALPHA,
    ),
    built_in(
        "multicluster-kv-cache-utilization-scorer",
        PluginKind.SCORER,
        NoParameters,
        lambda _name, _p: KvCacheScorer(_AS_SCRAPED),
        stability=Stability.ALPHA,
    ),
    built_in(
        "multicluster-prefix-cache-scorer",
        PluginKind.SCORER,
        PrefixCacheParameters,
        lambda _name, p: PrefixCacheScorer(p),
        needs=_prefix_matches,
        stability=Stability.ALPHA,
    ),
    built_in(
        _PREFIX_PRODUCER,
        PluginKind.PRODUCER,
        ApproxPrefixCacheParameters,
        ApproxPrefixCacheProducer,
        stability=Stability.ALPHA,
    ),
    session_affinity("multicluster-session-affinity-filter", PluginKind.FILTER, SessionAffinityFilter),
)
