"""Metrics pages of other pickers, as this picker writes them, through the real poller to the scorers of clusters."""

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.edge.observe.families import Dialect
from tests.support.routed_requests import endpoint
from tests.support.scraped_pool import HOST, ServedPage, scraped_pool, served_pages
from tests.support.watched_pool import WatchedPool

CONFIG = """\
plugins:
- type: multicluster-metrics-data-source
- type: multicluster-metrics-extractor
- type: multicluster-queue-scorer
- type: multicluster-kv-cache-utilization-scorer
"""
QUEUE, KV_CACHE = "multicluster-queue-scorer", "multicluster-kv-cache-utilization-scorer"


class Cluster:
    """Another cluster's picker, whose pool has two servers."""

    def __init__(self, dialect: Dialect) -> None:
        self.pool = WatchedPool(dialect)
        self.servers = (endpoint(0), endpoint(1))
        self.pool.contains(*self.servers)

    def says(self, *, waiting: tuple[int, int], kv_usage: tuple[float, float] = (0.0, 0.0)) -> str:
        """Its page when its servers told this."""
        for server, queue, used in zip(self.servers, waiting, kv_usage, strict=True):
            self.pool.scraped(server, waiting=queue, kv_usage=used)
        return self.page

    @property
    def page(self) -> str:
        """As it is now."""
        content, _ = self.pool.catalogue.prepare()()
        return content.decode()


def gateway(number: int, page: ServedPage) -> Endpoint:
    """A cluster whose metrics are not where its requests go."""
    return Endpoint.create(
        namespace="default",
        pod=f"cluster-{number}",
        rank=0,
        address=f"192.0.2.{number + 1}",
        port=80,
        metrics_address=HOST,
        metrics_port=page.port,
    )


@pytest.mark.parametrize("dialect", Dialect)
async def test_scorers_of_clusters_read_the_averages(dialect: Dialect) -> None:
    clusters = [Cluster(dialect) for _ in range(3)]
    texts = (
        clusters[0].says(waiting=(1, 3), kv_usage=(0.25, 0.75)),
        clusters[1].says(waiting=(4, 4), kv_usage=(0.125, 0.375)),
        clusters[2].says(waiting=(0, 20), kv_usage=(1.0, 1.0)),
    )
    async with served_pages(*texts) as pages:
        gateways = [gateway(number, page) for number, page in enumerate(pages)]
        async with scraped_pool(CONFIG, pages, gateways) as pool:
            await pool.until(lambda: pool.scores(QUEUE) == [1.0, 0.75, 0.0])
            assert pool.scores(KV_CACHE) == [0.5, 0.75, 0.0]
            pages[0].text = clusters[0].says(waiting=(10, 20))
            await pool.until(lambda: pool.scores(QUEUE)[0] == 0.0)
            assert not pool.problems


async def test_a_cluster_that_lost_its_servers_is_not_taken_for_an_idle_one() -> None:
    clusters = [Cluster(Dialect.LLM_D) for _ in range(2)]
    texts = [cluster.says(waiting=(1, 1)) for cluster in clusters]
    async with served_pages(*texts) as pages, scraped_pool(CONFIG, pages) as pool:
        await pool.until(lambda: pool.scores(QUEUE) == [1.0, 1.0])
        clusters[0].pool.contains()
        pages[0].text = clusters[0].page
        await pool.until(lambda: pool.problems, "the page tells no load")
        pool.now += 10.0
        await pool.until(lambda: pool.scores(QUEUE) == [0.0, 1.0])
