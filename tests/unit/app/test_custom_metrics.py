"""Custom metrics from the page of a real server, through the real poller, to scorers and filters."""

from epp.edge.observe.pool_reading import PoolReader
from tests.support.scraped_pool import scraped_pool, served_pages

CONFIG = """\
plugins:
- type: core-metrics-extractor
  parameters:
    engineConfigs:
    - name: vllm
      customMetrics:
      - attributeKey: custom.depth
        metricSpec: custom_depth{tier=gold}
- type: endpoint-attribute-scorer
  parameters:
    attributeKey: custom.depth
    algorithm: {type: linear_lower_is_better}
- type: endpoint-attribute-filter
  parameters:
    attribute: custom.depth
    onMissing: Fail
    algorithm:
      type: threshold
      threshold: {operator: LessThan, value: 100}
"""
SCORER, FILTER = "endpoint-attribute-scorer", "endpoint-attribute-filter"


def page(*depths: float, waiting: int = 0) -> str:
    lines = [f'custom_depth{{engine="{number}",tier="gold"}} {depth}\n' for number, depth in enumerate(depths)]
    return f'vllm:num_requests_waiting {waiting}\ncustom_depth{{tier="silver"}} 5000\n{"".join(lines)}'


async def test_a_scorer_and_a_filter_read_them() -> None:
    async with served_pages(page(2), page(4), page(10)) as pages, scraped_pool(CONFIG, pages) as pool:
        await pool.until(lambda: pool.scores(SCORER) == [1.0, 0.75, 0.0])
        assert pool.left_by(FILTER) == [0, 1, 2]
        pages[0].text = page(200)
        await pool.until(lambda: pool.left_by(FILTER) == [1, 2])
        assert not pool.problems


async def test_an_endpoint_whose_page_never_had_one_is_unknown() -> None:
    async with served_pages(page(), page(4, waiting=3)) as pages, scraped_pool(CONFIG, pages) as pool:
        await pool.until(lambda: pool.left_by(FILTER) == [1])
        assert pool.scores(SCORER) == [0.0, 1.0]


async def test_several_series_are_summed_and_the_other_signals_are_untouched() -> None:
    async with served_pages(page(1, 2, 3, waiting=7), page(5)) as pages, scraped_pool(CONFIG, pages) as pool:
        load = pool.roster.load
        await pool.until(lambda: load.attributes["custom.depth"][:2].tolist() == [6.0, 5.0])
        assert load.waiting[:2].tolist() == [7.0, 0.0]


async def test_a_silent_endpoint_has_none_after_a_while() -> None:
    async with served_pages(page(1), page(5)) as pages, scraped_pool(CONFIG, pages) as pool:
        await pool.until(lambda: pool.scores(SCORER) == [1.0, 0.0])
        pages[0].text = "nothing_known 1\n"
        await pool.until(lambda: pool.problems, "a page tells nothing")
        pool.now += 10.0
        await pool.until(lambda: pool.scores(SCORER) == [0.0, 1.0])


async def test_what_is_known_is_shown() -> None:
    async with served_pages(page(), page(4)) as pages, scraped_pool(CONFIG, pages) as pool:
        roster = pool.roster
        reader = PoolReader(roster, pool.ledger, roster.cooldowns, lambda: pool.now)
        await pool.until(lambda: [row.attributes for row in reader.read().rows()] == [{}, {"custom.depth": 4.0}])
