"""Another policy takes over between two requests; plugins that are configured as before keep what they know."""

from random import Random

from epp.core.config.load import load_config
from epp.core.domain.decision import plain
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Policy, Scheduler
from tests.support.small_pool import SmallPool, text_request

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
PROMPT = "the same beginning " * 40


def policy(*plugins: str, former: Policy | None = None, comment: str = "") -> Policy:
    text = HEAD + comment + "plugins:\n" + "".join(f"- {{{plugin}}}\n" for plugin in plugins)
    return build_policy(load_config(text, "epp.yaml", CATALOGUE), former=former)


def matched(scheduler: Scheduler, pool: SmallPool) -> list[float]:
    """What the prefix scorer says of every endpoint; the decision's lessons are learned."""
    decision = scheduler.schedule(text_request(PROMPT), pool.snapshot, pool.candidates, pool.now)
    for lesson in decision.lessons:
        lesson()
    return sorted(plain(next(c for c in decision.card.columns if c.plugin == "prefix-cache-scorer").scores))


def test_what_was_learned_stays_when_something_else_changes() -> None:
    pool = SmallPool(3)
    first = policy("type: prefix-cache-scorer", "type: queue-scorer")
    scheduler = Scheduler(first, pool.ledger, Random(1), lambda: pool.now)
    assert matched(scheduler, pool) == [0.0, 0.0, 0.0]
    assert matched(scheduler, pool)[-1] > 0.9
    second = policy(
        "type: prefix-cache-scorer", "type: load-aware-scorer", former=first, comment="# moves every line\n"
    )
    scheduler.swap(second)
    assert matched(scheduler, pool)[-1] > 0.9


def test_a_plugin_with_other_parameters_begins_anew() -> None:
    pool = SmallPool(3)
    first = policy("type: prefix-cache-scorer")
    scheduler = Scheduler(first, pool.ledger, Random(1), lambda: pool.now)
    matched(scheduler, pool)
    scheduler.swap(policy("type: prefix-cache-scorer, parameters: {lruCapacityPerServer: 9}", former=first))
    assert matched(scheduler, pool) == [0.0, 0.0, 0.0]


def test_a_slot_with_a_new_owner_is_forgotten_by_the_plugins_in_force() -> None:
    pool = SmallPool(3)
    first = policy("type: prefix-cache-scorer")
    scheduler = Scheduler(first, pool.ledger, Random(1), lambda: pool.now)
    scheduler.swap(policy("type: prefix-cache-scorer, parameters: {lruCapacityPerServer: 900}", former=first))
    matched(scheduler, pool)
    for number in range(3):
        scheduler.forget_slot(pool.slot(number))
    assert matched(scheduler, pool) == [0.0, 0.0, 0.0]
