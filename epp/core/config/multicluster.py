"""A picker in front of other clusters' pickers: each endpoint is the gateway of a cluster.

What is scraped is the metrics page of a cluster's own picker, and what it tells are averages over the servers
behind it. So nothing may be added to these numbers that is counted per cluster, such as our own requests in flight.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from epp.core.config.catalogue import PluginKind, PluginType, Stability
from epp.core.config.parameters import (
    FileDiscoveryParameters,
    MulticlusterMetricsExtractorParameters,
    MulticlusterMetricsSourceParameters,
    UtilizationDetectorParameters,
)
from epp.core.config.plugins import PluginTable
from epp.core.config.settings import MetricsSettings
from epp.core.config.structure import value_at

D = TypeVar("D", bound=msgspec.Struct)

MULTICLUSTER_SOURCE = "multicluster-metrics-data-source"
MULTICLUSTER_EXTRACTOR = "multicluster-metrics-extractor"
OF_CLUSTERS: Mapping[str, str] = {
    "queue-scorer": "multicluster-queue-scorer",
    "kv-cache-utilization-scorer": "multicluster-kv-cache-utilization-scorer",
}
"""scorers of what is scraped, and what they are called in front of clusters"""

MULTICLUSTER_TYPES: tuple[PluginType, ...] = (
    PluginType(
        MULTICLUSTER_SOURCE,
        frozenset((PluginKind.DATA_SOURCE,)),
        MulticlusterMetricsSourceParameters,
        stability=Stability.ALPHA,
    ),
    PluginType(
        MULTICLUSTER_EXTRACTOR,
        frozenset((PluginKind.EXTRACTOR,)),
        MulticlusterMetricsExtractorParameters,
        stability=Stability.ALPHA,
    ),
    PluginType(
        "multicluster-file-discovery",
        frozenset((PluginKind.DISCOVERY,)),
        FileDiscoveryParameters,
        stability=Stability.ALPHA,
    ),
)


def check_scorers(table: PluginTable, metrics: MetricsSettings | None) -> None:
    """Gives notice of scorers that take an average for one server's number, or one server's for an average."""
    reads_averages = metrics is not None and metrics.clusters is not None
    for of_server, of_cluster in OF_CLUSTERS.items():
        wrong = table.of_type(of_server if reads_averages else of_cluster)
        text = (
            f"it takes the average of a cluster for the number of one server; write {of_cluster}"
            if reads_averages
            else f"nobody reads the averages of clusters; declare {MULTICLUSTER_SOURCE} and {MULTICLUSTER_EXTRACTOR}"
        )
        for declared in wrong:
            if declared.path:
                table.findings.notice(declared.path, text)


def judge_clusters(table: PluginTable, metrics: MetricsSettings | None, saturation: D) -> D:
    """The detector in force: in front of clusters it looks at nothing but the averages."""
    is_corrected = isinstance(saturation, UtilizationDetectorParameters) and saturation.inflight_correction
    if metrics is None or metrics.clusters is None or not is_corrected:
        return saturation
    for declared in table.of_type("utilization-detector"):
        path = (*declared.path, "parameters", "inflightCorrection")
        if declared.path and value_at(path, table.findings) is not None:
            table.findings.notice(path, "no effect: our requests to a cluster are not the queue of one server")
    return msgspec.structs.replace(saturation, inflight_correction=False)
