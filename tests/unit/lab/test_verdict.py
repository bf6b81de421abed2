"""The verdict: each way in which a request can go astray is named, and nothing else is."""

from collections.abc import Mapping

import pytest

from epp.edge.observe.explained import ExplainedDecision, ExplainedEndpoint, ExplainedRefusal
from epp.lab.fake_vllm.journal import ServedRequest
from epp.lab.traffic import Answer, SampleRequest
from epp.lab.verdict import EXT_PROC_COUNTERS, Evidence, Verdict, ext_proc_counters, judge

A, B = "127.0.0.11:8000", "127.0.0.12:8000"
QUIET = dict.fromkeys(EXT_PROC_COUNTERS, 0)


def answer(name: str, served_by: str = A, status: int = 200, problem: str = "") -> Answer:
    return Answer(SampleRequest(name, "/v1/completions", {"model": "m"}), status, served_by, 0.1, problem)


def decision(name: str, picked: str = A) -> ExplainedDecision:
    """Of a request that was sent to `picked`; empty: refused."""
    return ExplainedDecision(
        when="2026-01-01T00:00:00.000+00:00",
        request_id=name,
        model="m",
        target_model="m",
        model_rewrite="",
        priority=0,
        fairness_id="",
        streaming=False,
        body_bytes=10,
        prompt_tokens=5,
        scheduler_s=0.001,
        picked=ExplainedEndpoint("pod", picked) if picked else None,
        fallbacks=[],
        profile="default",
        weights={},
        candidates=[],
        candidates_left_off=0,
        refusal=None if picked else ExplainedRefusal("ResourceExhausted", "full", "", ""),
        end=None,
    )


def served(name: str, destination: str) -> ServedRequest:
    return ServedRequest(name, "/v1/completions", 0.0, 200, "completed", destination=destination)


def verdict(
    *answers: Answer,
    decisions: tuple[ExplainedDecision, ...] = (),
    journal: tuple[ServedRequest, ...] = (),
    counters: Mapping[str, int] = QUIET,
    picker_died: bool = False,
) -> Verdict:
    return judge(
        Evidence(
            answers,
            {each.request_id: each for each in decisions},
            {each.request_id: each for each in journal},
            counters,
            picker_died,
        )
    )


def test_all_is_well() -> None:
    found = verdict(
        answer("1", A), answer("2", B), answer("3", B), decisions=(decision("1", A), decision("2", B), decision("3", B))
    )
    assert found.problems == ()
    assert (found.answered, found.ok, found.bypassed) == (3, 3, 0)
    assert found.picks == {A: 1, B: 2}


@pytest.mark.parametrize("status", [0, 429, 503])
def test_a_request_without_a_good_answer(status: int) -> None:
    found = verdict(answer("1", "", status, "no luck"), decisions=(decision("1"),))
    assert found.problems == (f"1: status {status}: no luck",)
    assert (found.answered, found.ok, found.picks) == (1, 0, {})


def test_a_refused_request_is_a_problem_once() -> None:
    found = verdict(answer("1", "", 429, "full"), decisions=(decision("1", ""),))
    assert found.problems == ("1: status 429: full",)


def test_a_request_that_went_elsewhere() -> None:
    assert verdict(answer("1", B), decisions=(decision("1", A),)).problems == (f"1: picked {A}, served by {B}",)


def test_an_error_of_another_pod_is_both() -> None:
    found = verdict(answer("1", B, 500, "oops"), decisions=(decision("1", A),))
    assert found.problems == ("1: status 500: oops", f"1: picked {A}, served by {B}")


def test_an_answer_of_which_nobody_knows_whose_it_is() -> None:
    found = verdict(answer("1", ""), decisions=(decision("1", A),))
    assert found.problems == (f"1: picked {A}, served by an unknown pod",)


def test_a_request_that_passed_by_the_picker() -> None:
    found = verdict(answer("1"), answer("2"), decisions=(decision("2"),))
    assert found.bypassed == 1
    assert found.problems == (
        "1 requests were answered without a decision",
        "the picker remembers no decision for 1 requests",
    )


def test_a_decision_that_only_the_pod_remembers() -> None:
    """It was told where it went by the header; the first of a list is the pick, the others are fallbacks."""
    found = verdict(answer("1", A), journal=(served("1", f"{A},{B}"),))
    assert found.bypassed == 0
    assert found.problems == ("the picker remembers no decision for 1 requests",)
    assert "picked" in verdict(answer("1", B), journal=(served("1", f"{A},{B}"),)).problems[0]


@pytest.mark.parametrize("name", EXT_PROC_COUNTERS)
def test_envoys_counters(name: str) -> None:
    found = verdict(answer("1"), decisions=(decision("1"),), counters={**QUIET, name: 2})
    assert found.problems == (f"Envoy counted {name} = 2",)


def test_when_the_picker_died_requests_may_pass_it_but_none_may_fail() -> None:
    counters = {**QUIET, "failure_mode_allowed": 1, "streams_failed": 1}
    bypassed, picked = answer("1", B), answer("2", A)
    journal = (served("1", ""), served("2", A))

    found = verdict(bypassed, picked, journal=journal, counters=counters, picker_died=True)
    assert found.problems == ()
    assert (found.bypassed, found.picks) == (1, {A: 1})

    failed = verdict(answer("1", "", 0, "cut"), journal=journal, counters=counters, picker_died=True)
    assert failed.problems == ("1: status 0: cut",)
    astray = verdict(answer("2", B), journal=journal, counters=counters, picker_died=True)
    assert astray.problems == (f"2: picked {A}, served by {B}",)


def test_counters_are_summed_over_filters() -> None:
    stats = {
        "http.models.ext_proc.streams_failed": 1,
        "http.other.ext_proc.streams_failed": 2,
        "http.models.ext_proc.streams_started": 9,
        "http.models.downstream_rq_total": 9,
        "cluster.ext_proc.failure_mode_allowed": 4,
    }
    assert ext_proc_counters(stats) == {**QUIET, "streams_failed": 3, "failure_mode_allowed": 4}
