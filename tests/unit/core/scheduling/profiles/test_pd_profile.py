"""pd-profile-handler, the predecessor of disagg-profile-handler."""

import pytest

from tests.support.staged_pool import StagedPool, loaded, staged

DECIDER = "{type: prefix-based-pd-decider, parameters: {nonCachedTokens: 16}}"


def test_its_decider_has_a_default_name() -> None:
    pool = StagedPool("prefill", "decode", policy=staged("{type: pd-profile-handler}", DECIDER))
    assert dict(pool.decide("x" * 64).request_headers) == {"x-prefiller-host-port": "10.0.0.1:8000"}
    assert pool.decide("x" * 60).request_headers == ()


def test_ranks_are_reached_through_the_primary_port() -> None:
    handler = "{type: pd-profile-handler, parameters: {primaryPort: 8000}}"
    pool = StagedPool("prefill", "decode", policy=staged(handler, DECIDER), ranks=2)
    pool.decide("short")
    decision = pool.decide("x" * 64)
    named = dict(decision.request_headers)
    assert decision.destinations == "10.0.0.2:8000"
    assert named["x-data-parallel-host-port"] == decision.endpoint.destination
    assert named["x-prefiller-host-port"].startswith("10.0.0.1:")


def test_loading_says_that_it_is_deprecated() -> None:
    handler = "{type: pd-profile-handler, parameters: {prefixPluginType: prefix-cache-scorer}}"
    notices = [str(notice) for notice in loaded(staged(handler, DECIDER)).notices]
    assert any("pd-profile-handler is deprecated: write disagg-profile-handler" in notice for notice in notices)
    assert any("prefixPluginType: no effect" in notice for notice in notices)


@pytest.mark.parametrize("old", ["disagg-headers-handler", "prefill-header-handler"])
def test_writers_of_headers_are_accepted_without_effect(old: str) -> None:
    writer = f"{{type: {old}, parameters: {{prefillProfile: prefill}}}}"
    text = staged("{type: pd-profile-handler}", DECIDER, writer)
    assert any("deprecated: the profile handler writes" in str(notice) for notice in loaded(text).notices)
    assert StagedPool("prefill", "decode", policy=text).decide("x" * 64).request_headers
