"""A policy over endpoints whose metrics pages are served on loopback and read by the real poller.

async with served_pages("depth 1\\n", "depth 2\\n") as pages, scraped_pool(CONFIG, pages) as pool:
    await pool.until(lambda: pool.scores("s") == [1.0, 0.0])
    pages[0].text = "depth 3\\n"
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

from aiohttp import web

from epp.app.configuration import dialects, page_options, picker_config
from epp.app.options import parse_flags
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.scrape.metrics_page import MetricsPage
from epp.edge.scrape.period import Attention, ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem
from tests.support.eventually import eventually

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
HOST = "127.0.0.1"
SOON_S = 0.01


class ServedPage:
    """`text` may be changed at any time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.port = 0

    async def answer(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.text)


@asynccontextmanager
async def served_pages(*texts: str) -> AsyncIterator[list[ServedPage]]:
    """One server with `/metrics` for each of the texts, until the end."""
    pages = [ServedPage(text) for text in texts]
    runners = []
    try:
        for page in pages:
            application = web.Application()
            application.router.add_get("/metrics", page.answer)
            runners.append(web.AppRunner(application, access_log=None, shutdown_timeout=0.1))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], HOST, 0).start()
            page.port = int(runners[-1].addresses[0][1])
        yield pages
    finally:
        for runner in runners:
            await runner.cleanup()


class ScrapedPool:
    """Made by `scraped_pool`. Time stands still, so that nothing grows stale unless `now` is raised."""

    def __init__(self, text: str, endpoints: Sequence[Endpoint]) -> None:
        options = parse_flags({"config-text": HEAD + text}, {})
        self.config = picker_config(options)
        self.now = 1000.0
        self.problems: list[ScrapeProblem] = []
        self.ledger = InFlightLedger()
        metrics = self.config.metrics
        attributes = metrics.custom_attributes if metrics else ()
        self.roster = Roster(self.ledger, lambda: self.now, attributes=attributes)
        self.roster.objects_changed(ObjectState(InferencePool("default", "pool", {}, ()), tuple(endpoints)))
        self.policy = build_policy(self.config)
        pages = page_options(options, self.config)
        self.poller = Poller(
            self.roster,
            lambda endpoint: MetricsPage(endpoint, pages),
            dialects(options, self.config).reader_of,
            attention=lambda _endpoint: Attention.BUSY,
            on_problem=self.problems.append,
            budget=ScrapeBudget(floor_s=SOON_S, cores=1.0),
        )
        self.poller.set_endpoints(endpoints)

    @property
    def candidates(self) -> Candidates:
        """Everybody."""
        return Candidates(self.roster.current)

    def cycle(self) -> Cycle:
        """A cycle that is about to judge."""
        return Cycle(InferenceRequest("r"), self.roster.current, self.ledger, self.now, Random(1))

    def scores(self, name: str) -> list[float]:
        """What a scorer of the first profile says of the endpoints."""
        scorer = next(scorer for scorer in self.policy.profiles[0].scorers if scorer.name == name)
        scores: list[float] = scorer.plugin.score(self.cycle(), self.candidates).tolist()
        return scores

    def left_by(self, name: str) -> list[int]:
        """Whom a filter of the first profile keeps."""
        named = next(named for named in self.policy.profiles[0].filters if named.name == name)
        left: list[int] = named.plugin.filter(self.cycle(), self.candidates).positions.tolist()
        return left

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Returns as soon as `condition()` is true."""
        await eventually(condition, what=what or f"the condition holds; problems: {self.problems}")


@asynccontextmanager
async def scraped_pool(
    text: str, pages: Sequence[ServedPage], endpoints: Sequence[Endpoint] = ()
) -> AsyncIterator[ScrapedPool]:
    """The configuration `text`, without its head, over `endpoints`; without any, over those that `pages` are."""
    pool = ScrapedPool(text, endpoints or [endpoint_of(number, page) for number, page in enumerate(pages)])
    task = asyncio.create_task(pool.poller.run())
    try:
        yield pool
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def endpoint_of(number: int, page: ServedPage) -> Endpoint:
    """The endpoint `vllm-<number>` whose page it is."""
    return Endpoint.create(namespace="default", pod=f"vllm-{number}", rank=0, address=HOST, port=page.port)
