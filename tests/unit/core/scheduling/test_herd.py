"""A burst that arrives between two scrapes spreads evenly, because picking and reserving are one step."""

from random import Random

import pytest

from epp.core.config.load import default_config
from epp.core.domain.decision import Decision
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.small_pool import SmallPool, text_request


@pytest.mark.parametrize("seed", range(5))
def test_forty_distinct_prompts_on_four_idle_endpoints(seed: int) -> None:
    pool = SmallPool(4)
    for number in range(4):
        pool.report(number, waiting=0, running=0, kv_usage=0.0)
    scheduler = Scheduler(build_policy(default_config(CATALOGUE)), pool.ledger, Random(seed), lambda: pool.now)
    router = Router(pool.roster, scheduler, RoutingPolicy(), lambda: pool.now)

    picked = []
    for number in range(40):
        decision = router.decide(text_request(f"{number:04}" * 200, model="m", target_model="m"))
        assert isinstance(decision, Decision)
        for lesson in decision.lessons:
            lesson()
        picked.append(decision.endpoint)

    assert [picked.count(endpoint) for endpoint in pool.endpoints] == [10, 10, 10, 10]
    assert pool.ledger.requests[:4].tolist() == [10, 10, 10, 10]


def test_a_repeated_prompt_stays_where_its_prefix_is() -> None:
    pool = SmallPool(4)
    for number in range(4):
        pool.report(number, waiting=0, running=0, kv_usage=0.0)
    scheduler = Scheduler(build_policy(default_config(CATALOGUE)), pool.ledger, Random(1), lambda: pool.now)
    router = Router(pool.roster, scheduler, RoutingPolicy(), lambda: pool.now)

    picked = set()
    for turn in range(5):
        decision = router.decide(text_request("once upon a time " * 50 + "more " * turn, target_model="m"))
        assert isinstance(decision, Decision)
        for lesson in decision.lessons:
            lesson()
        picked.add(decision.endpoint.name)
    assert len(picked) == 1
