"""`prefer: if-available`: only where something of the prompt is cached."""

from random import Random

import pytest

from epp.core.config.load import load_config
from epp.core.domain.decision import Decision
from epp.core.domain.errors import PreconditionFailed
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.small_pool import SmallPool, text_request

PROMPT = "a prompt of some length " * 40
HEAD = "apiVersion: llm-d.ai/v1\nkind: EndpointPickerConfig\n"
WITH_INDEX = HEAD + "plugins: [{type: prefix-cache-scorer}]\n"
WITHOUT_INDEX = HEAD + "plugins: [{type: queue-scorer}]\n"


class Pool(SmallPool):
    """Three endpoints."""

    def __init__(self, text: str = WITH_INDEX) -> None:
        super().__init__(3)
        config = load_config(text, "epp.yaml", CATALOGUE)
        self.scheduler = Scheduler(build_policy(config), self.ledger, Random(1), lambda: self.now)

    def ask(self, prefer: str | None = None, prompt: str = PROMPT) -> Decision:
        headers = {} if prefer is None else {"prefer": prefer}
        request = text_request(prompt, headers=headers)
        decision = self.scheduler.schedule(request, self.snapshot, self.candidates, self.now)
        for lesson in decision.lessons:
            lesson()
        return decision


PREFERENCES = ["if-available", "IF-Available", "respond-async, if-available; x=1", "wait=5,if-available=yes"]


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_a_cold_prompt_is_refused_and_nothing_is_booked(prefer: str) -> None:
    pool = Pool()
    pool.ask(prompt="something else entirely " * 40)
    with pytest.raises(PreconditionFailed, match="no decode worker has the requested KV cache") as caught:
        pool.ask(prefer)
    assert caught.value.retry_after_s is None
    assert pool.ledger.open_count == 1


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_a_cached_prompt_goes_where_it_is_cached(prefer: str) -> None:
    pool = Pool()
    first = pool.ask()
    assert pool.ask(prefer).endpoint == first.endpoint


@pytest.mark.parametrize("prefer", [None, "", "respond-async", "if-available-soon", 'x="if-available"', "wait=5"])
def test_who_insists_on_nothing_is_served(prefer: str | None) -> None:
    assert Pool().ask(prefer).endpoint.pod.startswith("vllm-")


def test_without_an_index_nothing_is_known_to_be_cached() -> None:
    pool = Pool(WITHOUT_INDEX)
    pool.ask()
    with pytest.raises(PreconditionFailed):
        pool.ask("if-available")
