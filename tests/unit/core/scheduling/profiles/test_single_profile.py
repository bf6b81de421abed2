import pytest

from epp.core.domain.errors import ResourceExhausted
from epp.core.scheduling.plugins import Conclusion
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from tests.support.small_pool import SmallPool


def test_the_only_profile_runs() -> None:
    pool, handler = SmallPool(1), SingleProfileHandler()
    cycle = pool.cycle()
    assert handler.next_profile(cycle, ("default",), {}) == "default"
    results = {"default": None}
    assert handler.next_profile(cycle, ("default",), results) is None
    assert handler.conclude(cycle, results) == Conclusion("default")
    assert handler.conclude(cycle, results) is handler.conclude(cycle, results)


def test_a_profile_that_leaves_nobody_refuses_the_request() -> None:
    refusal = ResourceExhausted("nobody")
    with pytest.raises(ResourceExhausted) as caught:
        SingleProfileHandler().profile_failed(SmallPool(1).cycle(), "default", refusal)
    assert caught.value is refusal
