"""The admin server with the real signals behind it, joined as an application would."""

from functools import partial

import aiohttp
import structlog

from epp.core.domain.request import InferenceRequest
from epp.edge.admin.gates import OpenGate
from epp.edge.admin.pages import AdminPages, Readiness
from epp.edge.admin.server import AdminServer
from epp.edge.observe.decisions import DecisionLog
from epp.edge.observe.self_check import Observation, SelfCheck
from epp.edge.observe.tee import TeeSink
from tests.support.metrics_page import ParsedPage
from tests.support.routed_requests import decision, endpoint, report
from tests.support.watched_pool import WatchedPool


async def test_a_request_is_seen_on_every_page() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1))
    pool.scraped(endpoint(0), waiting=2, kv_usage=0.25)
    decisions = DecisionLog(lambda: 0.0)
    check = SelfCheck(lambda: Observation(pool.reader.read(), pool.sink.totals()), structlog.get_logger())
    sink = TeeSink(pool.sink, decisions)
    routed = decision(InferenceRequest(request_id="r-1", model="m"), endpoint(0), scores={"queue-scorer": [1.0]})
    sink.request_routed(routed)
    sink.request_finished(routed, report())
    pages = AdminPages(
        metrics=pool.catalogue.prepare,
        readiness=lambda: Readiness(is_ready=True),
        decisions=decisions.prepare,
        endpoints=lambda: pool.reader.read().rows,
        config=lambda: lambda: "policy",
        self_check=lambda: partial(list, check.findings),
    )
    server = AdminServer(pages, OpenGate(), port=0)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            async with session.get("/metrics") as response:
                page = ParsedPage(await response.read())
            async with session.get("/debug/decisions?request_id=r-1") as response:
                (explained,) = await response.json()
            async with session.get("/debug/endpoints") as response:
                first, second = await response.json()
            async with session.get("/debug/self-check") as response:
                (finding,) = await response.json()
    finally:
        await server.stop()

    requests = {"model_name": "m", "target_model_name": "m", "priority": "0"}
    assert page.value("inference_objective_request_total", requests) == 1
    assert page.value("inference_pool_average_queue_size", {"name": "vllm-pool"}) == 2
    assert explained["candidates"][0]["scores"] == {"queue-scorer": 1.0}
    assert explained["end"]["status"] == 200
    assert (first["name"], first["waiting"], first["kv_usage"], first["stale"]) == ("vllm-0-rank-0", 2.0, 0.25, False)
    assert (second["stale"], second["metrics_age_s"]) == (True, None)
    assert (finding["check"], finding["severity"], finding["where"]) == ("stale-metrics", "warning", "vllm-1-rank-0")
