"""Reads every endpoint's page in the dialect of its engine, which a pod label names."""

from collections.abc import Callable, Mapping, Sequence

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.edge.scrape.load_scan import LoadReader
from epp.edge.scrape.metric_names import MetricNames

ENGINE_LABELS = ("llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type")


class Dialects:
    """Metric names by engine; an endpoint without a label, or with an unknown engine, is read as the default one."""

    def __init__(
        self,
        engines: Mapping[str, MetricNames],
        default: MetricNames,
        labels: Sequence[str] = ENGINE_LABELS,
        totals_every: int = 1,
    ) -> None:
        """`totals_every`: of so many pages of an endpoint the engine's totals are read on one; they need not be new."""
        self._engines = engines
        self._default = default
        self._labels = labels
        self._totals_every = totals_every

    def names_for(self, endpoint: Endpoint) -> MetricNames:
        """The dialect of one endpoint."""
        for label in self._labels:
            engine = endpoint.labels.get(label)
            if engine is not None:
                return self._engines.get(engine, self._default)
        return self._default

    def reader_of(self, endpoint: Endpoint) -> Callable[[bytes], LoadReport]:
        """What tells the load from page after page of the endpoint."""
        return LoadReader(self.names_for(endpoint), totals_every=self._totals_every).read
