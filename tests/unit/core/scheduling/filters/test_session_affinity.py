from epp.core.scheduling.filters.session_affinity import SessionAffinityFilter
from epp.core.scheduling.session_bonds import SessionAffinityParameters
from epp.core.scheduling.session_token import SessionKey, SessionTokens
from tests.support.small_pool import SmallPool

KEY = SessionKey(b"k" * 32)


def test_only_the_bound_endpoint_stays() -> None:
    pool = SmallPool(3)
    plugin = SessionAffinityFilter(SessionAffinityParameters(), KEY)
    cycle = pool.cycle(headers={"x-session-token": SessionTokens(KEY).token_of(pool.endpoints[1])})
    assert plugin.filter(cycle, pool.candidates).positions.tolist() == [1]
    assert plugin.response_header(pool.endpoints[1]) == ("x-session-token", cycle.request.headers["x-session-token"])


def test_everybody_stays_when_the_bound_one_is_no_candidate_or_unknown() -> None:
    pool = SmallPool(3)
    plugin = SessionAffinityFilter(SessionAffinityParameters(), KEY)
    token = SessionTokens(KEY).token_of(pool.endpoints[1])
    others = pool.candidates.keep([2, 0])
    assert plugin.filter(pool.cycle(headers={"x-session-token": token}), others) is others
    for headers in ({}, {"x-session-token": ""}, {"x-session-token": "0" * 32}):
        assert len(plugin.filter(pool.cycle(headers=headers), pool.candidates)) == 3


def test_session_ids() -> None:
    pool = SmallPool(3)
    plugin = SessionAffinityFilter(SessionAffinityParameters(strategy="session_id"), KEY)
    cycle = pool.cycle(headers={"x-session-id": "ada"})
    assert len(plugin.filter(cycle, pool.candidates)) == 3
    plugin.picked(cycle, pool.ledger.reserve(pool.slot(2), 1))
    assert plugin.filter(cycle, pool.candidates).positions.tolist() == [2]
    assert len(plugin.filter(pool.cycle(headers={"x-session-id": "bob"}), pool.candidates)) == 3
