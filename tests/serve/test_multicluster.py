"""Two pickers with pools of their own, and a third in front of them that knows each by its metrics page."""

import json
from pathlib import Path

from tests.support.metric_pods import MetricPods, metric_pods
from tests.support.served_picker import HOST, ServedPicker, served_picker

CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: multicluster-file-discovery, parameters: {path: CLUSTERS, watchFile: true}}
- type: multicluster-metrics-data-source
- type: multicluster-metrics-extractor
- type: multicluster-queue-scorer
dataLayer:
  discovery: {pluginRef: multicluster-file-discovery}
  sources:
  - pluginRef: multicluster-metrics-data-source
    extractors: [{pluginRef: multicluster-metrics-extractor}]
"""


def write_front(directory: Path, *clusters: ServedPicker) -> Path:
    """The configuration of the picker in front, and the file of its clusters."""
    listed = [
        {
            "name": f"cluster-{number}",
            "address": f"192.0.2.{number + 1}",
            "port": 80,
            "metricsAddress": HOST,
            "metricsPort": cluster.ports.metrics_port,
        }
        for number, cluster in enumerate(clusters)
    ]
    discovery, config = directory / "clusters.json", directory / "front.yaml"
    discovery.write_text(json.dumps({"endpoints": listed}))
    config.write_text(CONFIG.replace("CLUSTERS", str(discovery)))
    return config


def write_pool(cluster: ServedPicker, pods: MetricPods, number: int) -> None:
    """A pool of one pod."""
    cluster.write("pool.yaml", pods.pool_yaml())
    cluster.write("pods.yaml", pods.pods_yaml(number))


async def test_a_picker_in_front_of_two_others_knows_their_queues(tmp_path: Path) -> None:
    for name in ("west", "east", "front"):
        (tmp_path / name).mkdir()
    async with (
        metric_pods(2) as pods,
        served_picker(tmp_path / "west") as west,
        served_picker(tmp_path / "east") as east,
    ):
        for number, cluster in enumerate((west, east)):
            pods.waiting[pods.hosts[number]] = 3 * (number + 1)
            write_pool(cluster, pods, number)
        config = write_front(tmp_path / "front", west, east)
        flags = (f"--config-file={config}", "--allow-experimental-plugins")
        async with served_picker(tmp_path / "front", *flags, objects=False) as front:
            await front.until_endpoints("192.0.2.1:80", "192.0.2.2:80")

            async def queues() -> dict[str, float]:
                return {row.pod: row.waiting for row in await front.pages.endpoints() if not row.stale}

            async def are_known() -> bool:
                return await queues() == {"cluster-0": 3.0, "cluster-1": 6.0}

            await front.until(are_known, "the averages of both clusters")
            pods.waiting[pods.hosts[0]] = 9

            async def have_changed() -> bool:
                return (await queues()).get("cluster-0") == 9.0

            await front.until(have_changed, "the change in one cluster")
