from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from tests.support.small_pool import SmallPool


def test_the_only_profile_runs() -> None:
    assert SingleProfileHandler().profiles(SmallPool(1).cycle(), ("default",)) == ("default",)
