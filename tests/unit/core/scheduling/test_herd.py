"""A burst that arrives between two scrapes spreads evenly, because picking and reserving are one step."""

from random import Random

import pytest

from epp.core.config.built_in_policies import POLICIES
from epp.core.config.load import built_in_policy
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.request import InferenceRequest
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.small_pool import SmallPool, text_request

EVERY_POLICY = pytest.mark.parametrize("policy", list(POLICIES))
SCRAPE_AGE_S = 0.2


class Herd:
    """A router under a built-in policy; what is sent stays in flight until `finish`."""

    def __init__(self, policy: str, pods: int, seed: int = 1) -> None:
        self.pool = pool = SmallPool(pods)
        scheduler = Scheduler(
            build_policy(built_in_policy(policy, CATALOGUE)), pool.ledger, Random(seed), lambda: pool.now
        )
        self.router = Router(pool.roster, scheduler, RoutingPolicy(), lambda: pool.now)
        self.in_flight: list[Decision] = []
        self._number = 0

    def scrape(self) -> None:
        """Every pod's page is true at this moment."""
        for number, endpoint in enumerate(self.pool.endpoints):
            running = self.requests_at(endpoint)
            self.pool.report(number, waiting=0, running=running, kv_usage=0.0)

    def burst(self, count: int, prompt_words: int = 50) -> list[int]:
        """Requests with nothing in common, at once, with metrics that are a while old; how many each pod got."""
        self.scrape()
        self.pool.now += SCRAPE_AGE_S
        for _ in range(count):
            self._number += 1
            self.send(text_request(f"{self._number:08} " * prompt_words, target_model="m"))
        return [self.requests_at(endpoint) for endpoint in self.pool.endpoints]

    def send(self, request: InferenceRequest) -> Endpoint:
        decision = self.router.decide(request)
        assert isinstance(decision, Decision)
        for lesson in decision.lessons:
            lesson()
        self.in_flight.append(decision)
        return decision.endpoint

    def finish(self, *, except_at: Endpoint | None = None, every: int = 1) -> None:
        """All requests end, but of those at `except_at` only one of `every`."""
        staying = []
        for number, decision in enumerate(self.in_flight):
            if decision.endpoint == except_at and number % every:
                staying.append(decision)
            else:
                assert self.router.release(decision)
        self.in_flight = staying

    def requests_at(self, endpoint: Endpoint) -> int:
        slot = self.pool.roster.slot_of(endpoint)
        assert slot is not None
        return int(self.pool.ledger.requests[slot])


@EVERY_POLICY
@pytest.mark.parametrize("seed", range(5))
def test_forty_distinct_prompts_on_four_idle_endpoints(policy: str, seed: int) -> None:
    assert Herd(policy, 4, seed).burst(40) == [10, 10, 10, 10]


@EVERY_POLICY
@pytest.mark.parametrize("prompt_words", [10, 200, 2000])
def test_bursts_of_two_hundred_on_ten_idle_pods_stay_even(policy: str, prompt_words: int) -> None:
    herd = Herd(policy, 10)
    for _ in range(5):
        counts = herd.burst(200, prompt_words)
        assert all(18 <= count <= 22 for count in counts), counts
        herd.finish()
        herd.pool.now += 30.0


@EVERY_POLICY
def test_a_slow_pod_gets_its_fair_share_and_no_more(policy: str) -> None:
    herd = Herd(policy, 10)
    slow = herd.pool.endpoints[3]
    for burst in range(6):
        before = herd.requests_at(slow)
        counts = herd.burst(200)
        sent_to_slow = herd.requests_at(slow) - before
        assert sent_to_slow <= 22, "no more than its share"
        assert burst or sent_to_slow >= 18, "that much as long as nothing is known against it"
        others = [count for endpoint, count in zip(herd.pool.endpoints, counts, strict=True) if endpoint != slow]
        assert max(others) - min(others) <= 2
        herd.finish(except_at=slow, every=2)
        herd.pool.now += 1.0
    assert policy == "reference" or sent_to_slow < 18, "the reference looks at queues, not at what is running"


def test_a_repeated_prompt_stays_where_its_prefix_is() -> None:
    herd = Herd("reference", 4)
    herd.scrape()
    picked = {
        herd.send(text_request("once upon a time " * 50 + "more " * turn, target_model="m")).name for turn in range(5)
    }
    assert len(picked) == 1


def test_a_conversation_stays_where_its_prefix_is() -> None:
    herd = Herd("expected-cost", 4)
    picked = set()
    for turn in range(5):
        herd.scrape()
        picked.add(herd.send(text_request("once upon a time " * 500 + "more " * turn, target_model="m")).name)
        herd.finish()
        herd.pool.now += 2.0
    assert len(picked) == 1
