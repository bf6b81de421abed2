"""p2p-source-producer: who names whom as the source of KV cache."""

from epp.core.domain.decision import Decision
from tests.support.staged_pool import ALWAYS_PD, StagedPool, disagg, loaded

BLOCK = "x" * 64
P2P = "plugins:\n- {type: p2p-source-producer}\n- {type: active-request-scorer}\n- {type: max-score-picker}\n"


def pool(count: int, parameters: str = "") -> StagedPool:
    producer = f"{{type: p2p-source-producer, parameters: {{{parameters}}}}}"
    return StagedPool(*[""] * count, policy=P2P.replace("{type: p2p-source-producer}", producer))


def sent(pool: StagedPool, prompt: str, *, keep: bool = True) -> Decision:
    """A request that is learnt; it stays in flight, so that the next one goes elsewhere."""
    decision = pool.decide(prompt)
    for lesson in decision.lessons:
        lesson()
    if not keep:
        pool.router.release(decision)
    return decision


def source(decision: Decision) -> str | None:
    return dict(decision.request_headers).get("x-kv-cache-source-host-port")


def test_a_cold_request_has_no_source() -> None:
    assert source(sent(pool(2), BLOCK * 4)) is None


def test_who_has_the_prompt_is_the_source_for_another() -> None:
    two = pool(2)
    first = sent(two, BLOCK * 4)
    second = sent(two, BLOCK * 4)
    assert second.endpoint != first.endpoint
    assert source(second) == first.endpoint.destination


def test_who_has_the_prompt_itself_needs_no_source() -> None:
    one = pool(2)
    sent(one, BLOCK * 4)
    sent(one, BLOCK * 4)
    assert source(sent(one, BLOCK * 4)) is None


def test_a_small_gain_is_not_fetched() -> None:
    two = pool(2, "minCachedTokenDelta: 64")
    sent(two, BLOCK * 3)
    assert source(sent(two, BLOCK * 3 + "y" * 64)) is None
    more = pool(2, "minCachedTokenDelta: 64")
    sent(more, BLOCK * 4)
    assert source(sent(more, BLOCK * 4)) is not None


def test_sources_are_spread_and_the_idle_ones_preferred() -> None:
    many = pool(4)
    busy, *idle = (sent(many, BLOCK * 4).endpoint for _ in range(3))
    for number, endpoint in enumerate(many.endpoints):
        many.report(number, waiting=1000 if endpoint == busy else 0)
    named = []
    for _ in range(60):
        decision = many.decide(BLOCK * 4)
        many.router.release(decision)
        named.append(source(decision))
    assert set(named) >= {endpoint.destination for endpoint in idle}
    assert named.count(busy.destination) < 10


def test_with_stages_the_prefill_endpoint_is_the_one_that_fetches() -> None:
    staged = StagedPool(
        "prefill", "prefill", "decode", policy=disagg("deciders: {prefill: always}", "{type: p2p-source-producer}")
    )
    first = sent(staged, BLOCK * 4)
    second = sent(staged, BLOCK * 4)
    headers = dict(second.request_headers)
    assert headers["x-prefiller-host-port"] != dict(first.request_headers)["x-prefiller-host-port"]
    assert headers["x-kv-cache-source-host-port"] in {
        first.endpoint.destination,
        first.further[0].endpoints[0].destination,
    }


def test_it_works_as_soon_as_it_is_declared() -> None:
    config = loaded(P2P)
    assert config.producers == ("approx-prefix-cache-producer", "p2p-source-producer")
    assert not [notice for notice in config.notices if "nothing refers" in str(notice)]


def test_it_is_not_there_unless_declared() -> None:
    assert loaded(ALWAYS_PD).producers == ()
