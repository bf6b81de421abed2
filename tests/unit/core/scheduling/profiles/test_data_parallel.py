from epp.core.domain.endpoint import Endpoint
from tests.support.staged_pool import StagedPool

POLICY = """\
plugins:
- type: data-parallel-profile-handler
- type: active-request-scorer
- type: max-score-picker
  parameters: {maxNumOfEndpoints: 2}
"""


def test_the_rank_is_in_a_header_and_the_request_goes_to_the_primary_port() -> None:
    pool = StagedPool("", policy=POLICY, ranks=3)
    seen = set()
    for _ in range(3):
        decision = pool.decide()
        seen.add(decision.endpoint.name)
        assert decision.destinations == decision.destination == "10.0.0.1:8000"
        assert decision.request_headers == (("x-data-parallel-host-port", decision.endpoint.destination),)
        assert len(decision.endpoints) == 1
    assert seen == {"vllm-0-rank-0", "vllm-0-rank-1", "vllm-0-rank-2"}


def test_an_answer_of_the_primary_port_is_one_of_the_rank() -> None:
    pool = StagedPool("", policy=POLICY, ranks=2)
    pool.decide()
    decision = pool.decide()
    pool.router.response_begun(decision, "10.0.0.1:8000")
    assert pool.ledger.requests[decision.reservation.slot] == 1
    assert not pool.roster.cooldowns.cooling(pool.now)
    assert pool.router.release(decision)


def test_another_primary_port_and_ipv6() -> None:
    policy = POLICY.replace("handler\n", "handler\n  parameters: {primaryPort: 9000}\n")
    pool = StagedPool("", policy=policy)
    pool.members(Endpoint.create(namespace="default", pod="six", rank=1, address="fd00::1", port=8001))
    decision = pool.decide()
    assert decision.destinations == "[fd00::1]:9000"
    assert decision.request_headers == (("x-data-parallel-host-port", "[fd00::1]:8001"),)
