from epp.core.scheduling.scorers.session_affinity import SessionAffinityScorer
from epp.core.scheduling.session_bonds import SessionAffinityParameters
from epp.core.scheduling.session_token import SessionKey, SessionTokens
from tests.support.small_pool import SmallPool

KEY = SessionKey(b"k" * 32)


def test_the_bound_endpoint_has_1() -> None:
    pool = SmallPool(3)
    scorer = SessionAffinityScorer(SessionAffinityParameters(), KEY)
    cycle = pool.cycle(headers={"x-session-token": SessionTokens(KEY).token_of(pool.endpoints[1])})
    assert scorer.score(cycle, pool.candidates).tolist() == [0.0, 1.0, 0.0]
    assert scorer.score(cycle, pool.candidates.keep([2, 1])).tolist() == [0.0, 1.0]
    assert scorer.score(cycle, pool.candidates.keep([2])).tolist() == [0.0]


def test_a_token_made_with_another_key_is_a_new_session() -> None:
    pool = SmallPool(2)
    scorer = SessionAffinityScorer(SessionAffinityParameters(), KEY)
    cycle = pool.cycle(headers={"x-session-token": SessionTokens(SessionKey(b"other")).token_of(pool.endpoints[0])})
    assert scorer.score(cycle, pool.candidates).tolist() == [0.0, 0.0]


def test_session_ids() -> None:
    pool = SmallPool(2)
    scorer = SessionAffinityScorer(SessionAffinityParameters(strategy="session_id"), KEY)
    cycle = pool.cycle(headers={"x-session-id": "ada"})
    assert scorer.score(cycle, pool.candidates).tolist() == [0.0, 0.0]
    scorer.picked(cycle, pool.ledger.reserve(pool.slot(1), 1))
    assert scorer.score(cycle, pool.candidates).tolist() == [0.0, 1.0]
    assert scorer.response_header(pool.endpoints[0]) is None
