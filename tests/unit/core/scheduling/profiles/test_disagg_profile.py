"""disagg-profile-handler: which profiles run, what the sidecar is told, what is booked, and what without workers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.decision import Decision, Disaggregation, Stage
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.roles import DECODE_ROLES, ENCODE_ROLES, PREFILL_ROLES
from tests.support.staged_pool import ALWAYS_EPD, ALWAYS_PD, StagedPool, disagg

MEDIA = '[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]'
PREFILL_FIRST = disagg("stageOrder: prefill-first, deciders: {encode: media}")


def headers(decision: Decision) -> dict[str, str]:
    return dict(decision.request_headers)


def test_decode_answers_and_prefill_is_named_in_a_header() -> None:
    pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
    decision = pool.decide()
    assert (decision.endpoint.pod, decision.destinations) == ("vllm-1", "10.0.0.2:8000")
    assert headers(decision) == {"x-prefiller-host-port": "10.0.0.1:8000"}
    assert decision.disaggregation == Disaggregation("prefill-decode")
    assert [(pick.stage, pick.endpoints[0].pod) for pick in decision.further] == [(Stage.PREFILL, "vllm-0")]


def test_both_endpoints_hold_a_place_with_the_tokens_of_the_prompt() -> None:
    pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
    pool.decide()
    assert pool.booked() == {"vllm-0": (1, 100), "vllm-1": (1, 100)}


def test_only_the_first_of_several_prefill_picks_is_named_and_booked() -> None:
    pool = StagedPool("prefill", "prefill", "decode", policy=ALWAYS_PD)
    decision = pool.decide()
    first = decision.further[0].endpoints[0]
    assert len(decision.further[0].endpoints) == 2
    assert headers(decision) == {"x-prefiller-host-port": first.destination}
    assert set(pool.booked()) == {first.pod, "vllm-2"}


def test_the_load_of_prefill_is_spread_by_its_bookings() -> None:
    pool = StagedPool("prefill", "prefill", "decode", policy=ALWAYS_PD)
    named = {headers(pool.decide())["x-prefiller-host-port"] for _ in range(2)}
    assert named == {"10.0.0.1:8000", "10.0.0.2:8000"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("", "decode-only"),
        ("deciders: {prefill: always}", "prefill-decode"),
        ("deciders: {encode: media}", "encode-decode"),
        ("deciders: {prefill: always, encode: media}", "encode-prefill-decode"),
        ("stageOrder: prefill-first", "prefill-decode"),
        ("stageOrder: prefill-first, deciders: {encode: media}", "encode-prefill-decode"),
        ("prefillDeciderPluginName: always", "prefill-decode"),
        ("deciderPluginName: always, encodeDeciderPluginName: media", "encode-prefill-decode"),
        ("deciders: {prefill: media}", "prefill-decode"),
    ],
)
def test_a_stage_runs_when_its_decider_wants_it(parameters: str, said: str) -> None:
    decision = StagedPool("prefill", "decode", "encode", policy=disagg(parameters)).decide(MEDIA)
    assert decision.disaggregation == Disaggregation(said)
    assert decision.endpoint.pod == "vllm-1"


def test_a_decider_that_says_no_leaves_its_stage_out() -> None:
    pool = StagedPool("prefill", "decode", "encode", policy=ALWAYS_EPD)
    decision = pool.decide("no pictures")
    assert headers(decision) == {"x-prefiller-host-port": "10.0.0.1:8000"}
    assert decision.disaggregation == Disaggregation("prefill-decode")


def test_all_encoders_are_named_and_the_first_is_booked_without_tokens() -> None:
    pool = StagedPool("encode", "encode", "decode", policy=disagg("deciders: {encode: media}"))
    decision = pool.decide(MEDIA)
    assert sorted(headers(decision)["x-encoder-hosts-ports"].split(",")) == ["10.0.0.1:8000", "10.0.0.2:8000"]
    booked = pool.booked()
    del booked["vllm-2"]
    assert list(booked.values()) == [(1, 0)]


@pytest.mark.parametrize(
    ("policy", "order"),
    [(ALWAYS_EPD, ["decode", "encode", "prefill"]), (PREFILL_FIRST, ["prefill", "decode", "encode"])],
)
def test_the_order_of_the_stages(policy: str, order: list[str]) -> None:
    pool = StagedPool("prefill", "decode", "encode", policy=policy)
    ran: list[str] = []
    for name, profile in pool.scheduler._profiles.items():
        filter_plugin = profile.filters[0].plugin
        original = filter_plugin.filter

        def noting(cycle, candidates, name=name, original=original):  # type: ignore[no-untyped-def]
            ran.append(name)
            return original(cycle, candidates)

        filter_plugin.filter = noting  # type: ignore[method-assign]
    pool.decide(MEDIA)
    assert ran == order


@pytest.mark.parametrize("policy", [ALWAYS_PD, PREFILL_FIRST])
def test_without_a_decode_endpoint_the_request_is_refused_and_nothing_is_booked(policy: str) -> None:
    pool = StagedPool("prefill", "encode", policy=policy)
    with pytest.raises(ResourceExhausted, match="failed to find available decode workers") as caught:
        pool.decide(MEDIA)
    assert caught.value.reason is DroppedReason.SATURATED
    assert caught.value.retry_after_s == 1
    assert caught.value.hint == "filter 'decode-filter' of profile 'decode' left no endpoint"
    assert pool.ledger.open_count == 0


@pytest.mark.parametrize("policy", [ALWAYS_PD, PREFILL_FIRST])
def test_without_a_prefill_endpoint_decode_does_everything_and_it_is_said(policy: str) -> None:
    pool = StagedPool("decode", policy=policy)
    decision = pool.decide()
    assert decision.request_headers == ()
    assert decision.disaggregation == Disaggregation("decode-only", "prefill")
    assert pool.booked() == {"vllm-0": (1, 100)}


@pytest.mark.parametrize("order", ["", ", stageOrder: prefill-first"])
def test_without_a_prefill_endpoint_the_request_may_be_refused(order: str) -> None:
    deciders = "" if order else ", deciders: {prefill: always}"
    pool = StagedPool("decode", policy=disagg(f"onStageFailure: refuse{deciders}{order}"))
    with pytest.raises(ResourceExhausted, match="failed to find available prefill workers") as caught:
        pool.decide()
    assert caught.value.reason is DroppedReason.SATURATED
    assert pool.ledger.open_count == 0


def test_an_encode_stage_that_finds_nobody_is_said_too() -> None:
    decision = StagedPool("prefill", "decode", policy=ALWAYS_EPD).decide(MEDIA)
    assert decision.disaggregation == Disaggregation("prefill-decode", "encode")
    assert headers(decision) == {"x-prefiller-host-port": "10.0.0.1:8000"}


def test_an_endpoint_that_would_prefill_for_itself_does_so_without_a_header() -> None:
    pool = StagedPool("both", policy=ALWAYS_PD)
    decision = pool.decide()
    assert (decision.request_headers, decision.further) == ((), ())
    assert decision.disaggregation == Disaggregation("decode-only")
    assert pool.ledger.open_count == 1


def test_profiles_may_have_other_names() -> None:
    policy = ALWAYS_PD.replace("name: decode", "name: answer").replace("name: prefill,", "name: prompt,")
    for parameters in (
        "profiles: {decode: answer, prefill: prompt}, deciders: {prefill: always}",
        "decodeProfile: answer, prefillProfile: prompt, deciderPluginName: always",
    ):
        pool = StagedPool("prefill", "decode", policy=policy.replace("deciders: {prefill: always}", parameters))
        decision = pool.decide()
        assert decision.disaggregation == Disaggregation("prefill-decode")
        assert (decision.card.profile, decision.further[0].card.profile) == ("answer", "prompt")


def test_prefill_first_without_a_prefill_profile_is_decode_alone() -> None:
    policy = disagg("stageOrder: prefill-first, profiles: {prefill: elsewhere}")
    decision = StagedPool("prefill", "decode", policy=policy).decide()
    assert decision.disaggregation == Disaggregation("decode-only")


ROLE = st.sampled_from(["", "unheard-of", *sorted({*DECODE_ROLES, *PREFILL_ROLES, *ENCODE_ROLES})])
POLICIES = [ALWAYS_EPD, PREFILL_FIRST, ALWAYS_EPD.replace("deciders:", "onStageFailure: refuse, deciders:")]


@settings(max_examples=150, deadline=None)
@given(roles=st.lists(ROLE, min_size=1, max_size=6), policy=st.sampled_from(POLICIES), media=st.booleans())
def test_whatever_the_roles_only_the_able_are_named_and_all_that_are_named_first_are_booked(
    roles: list[str], policy: str, media: bool
) -> None:
    pool = StagedPool(*roles, policy=policy)
    role_at = {one.destination: role for one, role in zip(pool.endpoints, roles, strict=True)}
    try:
        decision = pool.decide(MEDIA if media else "text")
    except ResourceExhausted:
        able = [role == "" or role in DECODE_ROLES for role in roles]
        assert "refuse" in policy or not any(able)
        assert pool.ledger.open_count == 0
        return
    assert role_at[decision.destination] in ("", *DECODE_ROLES)
    named = headers(decision)
    prefiller, encoders = named.get("x-prefiller-host-port"), named.get("x-encoder-hosts-ports")
    assert prefiller is None or role_at[prefiller] in PREFILL_ROLES
    assert prefiller != decision.destination
    assert encoders is None or (media and all(role_at[one] in ENCODE_ROLES for one in encoders.split(",")))
    booked = sorted(
        reservation.slot for reservation in (decision.reservation, *(p.reservation for p in decision.further))
    )
    first = [decision.destination, *(told.partition(",")[0] for told in named.values())]
    assert booked == sorted(pool.slot(pool.snapshot.by_destination[one]) for one in first)
