"""A session stays where it is, as the whole scheduler sees it."""

from random import Random

import msgspec
import pytest

from epp.core.config.load import load_config
from epp.core.domain.decision import Decision
from epp.core.domain.ports import ObjectState
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.scheduling.session_token import SessionKey
from tests.support.small_pool import POOL, SmallPool, text_request

KEY = SessionKey(b"k" * 32)


def scheduler(pool: SmallPool, plugin: str, parameters: str = "{}", key: SessionKey = KEY) -> Scheduler:
    text = (
        "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: active-request-scorer\n"
        f"- {{type: {plugin}, parameters: {parameters}}}\n- type: max-score-picker\n"
        "schedulingProfiles:\n- name: default\n  plugins:\n  - pluginRef: active-request-scorer\n"
        f"  - pluginRef: {plugin}\n  - pluginRef: max-score-picker\n"
    )
    text = text.replace("session-affinity-scorer\n  -", "session-affinity-scorer\n    weight: 5\n  -")
    return Scheduler(
        build_policy(load_config(text, "sessions", CATALOGUE), key), pool.ledger, Random(1), lambda: pool.now
    )


def send(scheduled: Scheduler, pool: SmallPool, **headers: str) -> Decision:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return scheduled.schedule(text_request("x", headers=named), pool.snapshot, pool.candidates, pool.now)


@pytest.mark.parametrize("plugin", ["session-affinity-scorer", "session-affinity-filter"])
def test_a_token_leads_back_however_busy_the_endpoint_is(plugin: str) -> None:
    pool = SmallPool(5)
    scheduled = scheduler(pool, plugin)
    first = send(scheduled, pool)
    ((header, token),) = first.response_headers(first.endpoint)
    assert header == "x-session-token"
    for _ in range(10):
        assert send(scheduled, pool, x_session_token=token).endpoint == first.endpoint
    assert send(scheduled, pool).endpoint != first.endpoint


@pytest.mark.parametrize("plugin", ["session-affinity-scorer", "session-affinity-filter"])
def test_pickers_with_the_same_key_know_one_anothers_tokens(plugin: str) -> None:
    pool = SmallPool(5)
    first = send(scheduler(pool, plugin), pool)
    ((_, token),) = first.response_headers(first.endpoint)
    assert send(scheduler(pool, plugin), pool, x_session_token=token).endpoint == first.endpoint
    stranger = scheduler(pool, plugin, key=SessionKey(b"other"))
    assert send(stranger, pool, x_session_token=token).endpoint != first.endpoint


def test_after_a_restart_the_session_is_placed_anew() -> None:
    pool = SmallPool(2)
    scheduled = scheduler(pool, "session-affinity-filter")
    first = send(scheduled, pool)
    ((_, token),) = first.response_headers(first.endpoint)
    restarted = tuple(msgspec.structs.replace(endpoint, incarnation="again") for endpoint in pool.endpoints)
    pool.roster.objects_changed(ObjectState(POOL, restarted))
    went = {send(scheduled, pool, x_session_token=token).endpoint.pod for _ in range(2)}
    assert went == {"vllm-0", "vllm-1"}


@pytest.mark.parametrize("plugin", ["session-affinity-scorer", "session-affinity-filter"])
def test_requests_of_a_session_that_arrive_at_once_stay_together(plugin: str) -> None:
    pool = SmallPool(5)
    scheduled = scheduler(pool, plugin, "{strategy: session_id}")
    decisions = [send(scheduled, pool, x_session_id="ada") for _ in range(10)]
    assert len({decision.endpoint.pod for decision in decisions}) == 1
    assert decisions[0].response_headers(decisions[0].endpoint) == ()
