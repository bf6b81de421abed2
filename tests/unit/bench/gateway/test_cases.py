"""Which cases there are, and which of them `--only` takes."""

import itertools

import pytest

from bench.gateway.cases import NO_PICKER, QUICK, USUAL, all_cases, selected
from bench.gateway.progress import seconds_left


@pytest.mark.parametrize("quick", [False, True])
def test_names_are_unique(quick: bool) -> None:
    names = [case.name for case in all_cases(quick=quick)]
    assert len(set(names)) == len(names)


def test_a_run_is_short() -> None:
    every, few = all_cases(quick=False), all_cases(quick=True)
    assert 300 < seconds_left(every, USUAL)[every[0].name] < 840, "the rest of a quarter of an hour is for single steps"
    assert seconds_left(few, QUICK)[few[0].name] < 75


@pytest.mark.parametrize("kind", ["saturation", "latency"])
def test_every_body_is_sent_through_every_gateway_in_plaintext(kind: str) -> None:
    cases = [case for case in all_cases(quick=False) if case.kind == kind and not case.variant.secure]
    gateways, bodies = {case.variant for case in cases}, {case.body for case in cases if case.body}
    assert {(case.variant, case.body) for case in cases} == set(itertools.product(gateways, bodies))
    assert {(body.prompt_bytes, body.is_streamed) for body in bodies} == set(
        itertools.product((800, 20_000, 220_000, 1_000_000), (False, True))
    )
    assert {(each.transport, each.body_mode, each.workers) for each in gateways} == {
        (None, "buffered", 0),
        ("grpcio", "buffered", 0),
        ("grpcio", "full-duplex", 0),
        ("native", "buffered", 0),
        ("native", "full-duplex", 0),
        ("native", "buffered", 1),
        ("native", "buffered", 2),
    }


def test_what_is_left_shrinks_and_a_shared_gateway_starts_once() -> None:
    cases = all_cases(quick=False)
    left = list(seconds_left(cases, USUAL).values())[::-1]
    assert left == sorted(left, reverse=True)
    first, second = cases[0], cases[1]
    assert first.gateway == second.gateway
    assert left[0] - left[1] > left[1] - left[2] - 1e-9, "the first one has the start of the gateway"


def test_every_case_of_a_kind_and_gateway_is_together() -> None:
    cases = all_cases(quick=False)
    seen = [gateway for gateway, _ in itertools.groupby(cases, lambda case: case.gateway)]
    assert len(set(seen)) == len(seen)


def test_a_text_selects_and_brings_what_is_needed() -> None:
    names = [case.name for case in selected(all_cases(quick=False), ["LATENCY: grpcio: 1 MB, streamed"])]
    assert names == [
        "saturation: no picker: 1 MB, streamed",
        "saturation: grpcio: 1 MB, streamed",
        "latency: no picker: 1 MB, streamed",
        "latency: grpcio: 1 MB, streamed",
    ]


def test_overload_needs_to_know_what_is_too_much() -> None:
    names = [case.name for case in selected(all_cases(quick=True), ["overload: grpcio"])]
    assert names == ["saturation: grpcio: 0.8 KB", "overload: grpcio: 0.8 KB"]


def test_several_texts_add_up_and_none_takes_all() -> None:
    cases = all_cases(quick=False)
    assert selected(cases, []) == cases
    assert selected(cases, ["no such thing"]) == []
    assert {case.kind for case in selected(cases, ["idle: grpcio: 10 pods", "saturation: no picker"])} == {
        "idle",
        "saturation",
    }


def test_latency_is_always_compared_with_the_gateway_without_a_picker() -> None:
    cases = all_cases(quick=False)
    bodies = {case.body for case in cases if case.kind == "latency"}
    assert bodies == {case.body for case in cases if case.kind == "latency" and case.variant == NO_PICKER}
