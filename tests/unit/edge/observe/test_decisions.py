import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.decision import Disaggregation, Reservation, ScoreCard, ScorerColumn, Stage, StagePick
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.ports import Outcome
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.edge.observe.decisions import DecisionLog
from tests.support.routed_requests import decision, endpoint, report

NOON = 1_767_268_800.5
SCORES = {"queue-scorer": [0.25, 1.0], "prefix-cache-scorer": [0.5, 0.0]}


def log(**bounds: int) -> DecisionLog:
    return DecisionLog(lambda: NOON, **bounds)


def request(request_id: str = "r-1", model: str = "tuned", target: str = "base") -> InferenceRequest:
    return InferenceRequest(
        request_id=request_id,
        model=model,
        target_model=target,
        model_rewrite="canary",
        priority=3,
        fairness_id="team-a",
        body_bytes=900,
    )


def test_a_decision_is_explained_by_the_scores_of_every_candidate() -> None:
    decisions = log()
    decisions.request_routed(
        decision(request(), endpoint(0), endpoint(1), scores=SCORES, weight=2.0, scheduler_s=0.0003)
    )

    (explained,) = decisions.explain()

    assert explained == {
        "when": "2026-01-01T12:00:00.500+00:00",
        "request_id": "r-1",
        "model": "tuned",
        "target_model": "base",
        "model_rewrite": "canary",
        "priority": 3,
        "fairness_id": "team-a",
        "streaming": False,
        "body_bytes": 900,
        "prompt_tokens": 12,
        "scheduler_s": 0.0003,
        "picked": {"name": "vllm-0-rank-0", "destination": "10.0.0.1:8000"},
        "fallbacks": [{"name": "vllm-1-rank-0", "destination": "10.0.0.2:8000"}],
        "profile": "default",
        "weights": {"queue-scorer": 2.0, "prefix-cache-scorer": 2.0},
        "candidates": [
            {
                "name": "vllm-1-rank-0",
                "destination": "10.0.0.2:8000",
                "total": 2.0,
                "scores": {"queue-scorer": 1.0, "prefix-cache-scorer": 0.0},
            },
            {
                "name": "vllm-0-rank-0",
                "destination": "10.0.0.1:8000",
                "total": 1.5,
                "scores": {"queue-scorer": 0.25, "prefix-cache-scorer": 0.5},
            },
        ],
        "candidates_left_off": 0,
        "refusal": None,
        "end": None,
        "stages": [],
        "disaggregation": "",
        "request_headers": {},
    }


def stage_pick(*endpoints: Endpoint, scores: list[float]) -> StagePick:
    card = ScoreCard("prefill", endpoints, (ScorerColumn("queue-scorer", 3.0, np.array(scores)),), 3 * np.array(scores))
    return StagePick(Stage.PREFILL, endpoints[:1], Reservation(slot=1, generation=1, serial=2, tokens=12), card)


def test_a_stage_elsewhere_is_explained_like_the_pick_that_answers() -> None:
    decisions = log()
    decisions.request_routed(
        decision(
            request(),
            endpoint(0),
            further=(stage_pick(endpoint(2), endpoint(3), scores=[1.0, 0.5]),),
            request_headers=(("x-prefiller-host-port", "10.0.0.3:8000"),),
            disaggregation=Disaggregation("prefill-decode", "encode"),
        )
    )

    (explained,) = decisions.explain()

    assert explained["disaggregation"] == "prefill-decode, no endpoint for encode"
    assert explained["request_headers"] == {"x-prefiller-host-port": "10.0.0.3:8000"}
    assert explained["stages"] == [
        {
            "stage": "prefill",
            "picked": {"name": "vllm-2-rank-0", "destination": "10.0.0.3:8000"},
            "fallbacks": [],
            "profile": "prefill",
            "weights": {"queue-scorer": 3.0},
            "candidates": [
                {
                    "name": "vllm-2-rank-0",
                    "destination": "10.0.0.3:8000",
                    "total": 3.0,
                    "scores": {"queue-scorer": 1.0},
                },
                {
                    "name": "vllm-3-rank-0",
                    "destination": "10.0.0.4:8000",
                    "total": 1.5,
                    "scores": {"queue-scorer": 0.5},
                },
            ],
            "candidates_left_off": 0,
        }
    ]


def test_the_scores_of_further_stages_count_for_the_bound() -> None:
    decisions = log(most_scores=8)
    for _ in range(3):
        decisions.request_routed(
            decision(request(), scores={"a": [0.1]}, further=(stage_pick(endpoint(2), scores=[1.0]),))
        )
    assert len(decisions) == 2


def test_the_end_is_added_when_it_comes() -> None:
    decisions = log()
    routed = decision(request())
    decisions.request_routed(routed)
    decisions.request_finished(
        routed, report(outcome=Outcome.ERROR, status=503, duration_s=1.5, served="10.0.0.2:8000")
    )

    (explained,) = decisions.explain()

    assert explained["end"] == {
        "outcome": "error",
        "status": 503,
        "served": "10.0.0.2:8000",
        "duration_s": 1.5,
        "first_token_s": None,
        "response_bytes": None,
    }


def test_a_refusal_says_why() -> None:
    decisions = log()
    refusal = ResourceExhausted("system saturated", hint="priority -1", reason=DroppedReason.SATURATED)
    decisions.request_refused(request(), refusal)
    decisions.request_refused(None, refusal)

    unread, read = decisions.explain()

    assert read["refusal"] == {
        "code": "ResourceExhausted",
        "message": "system saturated",
        "hint": "priority -1",
        "reason": "rejected-saturated",
    }
    assert (read["request_id"], read["picked"], read["candidates"]) == ("r-1", None, [])
    assert unread["request_id"] == ""


def test_newest_first_by_request_id_by_model_and_not_too_many() -> None:
    decisions = log()
    for serial, (request_id, model) in enumerate((("a", "tuned"), ("b", "other"), ("a", "tuned"), ("c", "base"))):
        decisions.request_routed(decision(request(request_id, model), serial=serial, scheduler_s=float(serial)))

    def times(**choice: object) -> list[object]:
        return [explained["scheduler_s"] for explained in decisions.explain(**choice)]  # type: ignore[arg-type]

    assert times() == [3, 2, 1, 0]
    assert times(limit=2) == [3, 2]
    assert times(request_id="a") == [2, 0]
    assert times(request_id="nobody") == []
    assert times(model="other") == [1]
    assert times(model="base") == [3, 2, 1, 0], "the target model counts too"
    assert times(model="tuned", limit=1) == [2]


def test_the_oldest_records_go_first_and_their_ends_are_ignored() -> None:
    decisions = log(most_records=2)
    routed = [decision(request(f"r-{serial}"), serial=serial) for serial in range(3)]
    for one in routed:
        decisions.request_routed(one)

    for one in routed:
        decisions.request_finished(one, report())

    assert [(explained["request_id"], explained["end"] is None) for explained in decisions.explain()] == [
        ("r-2", False),
        ("r-1", False),
    ]
    assert not decisions._under_way


def test_large_pools_keep_fewer_decisions() -> None:
    decisions = log(most_scores=30)
    for serial in range(10):
        decisions.request_routed(decision(request(), endpoint(0), endpoint(1), scores=SCORES, serial=serial))

    assert len(decisions) == 30 // (2 * 3)


def test_one_decision_is_kept_however_large() -> None:
    decisions = log(most_scores=1)
    decisions.request_routed(decision(request(), endpoint(0), endpoint(1), scores=SCORES))

    assert len(decisions) == 1


def test_only_the_best_hundred_candidates_are_shown() -> None:
    decisions = log()
    everybody = [endpoint(number) for number in range(120)]
    decisions.request_routed(
        decision(request(), *everybody, scores={"queue-scorer": [number / 120 for number in range(120)]})
    )

    (explained,) = decisions.explain()

    candidates = explained["candidates"]
    assert isinstance(candidates, list)
    assert (len(candidates), explained["candidates_left_off"]) == (100, 20)
    assert candidates[0]["name"] == "vllm-119-rank-0"


def test_records_keep_no_body_alive() -> None:
    decisions = log()
    body = bytearray(b"a long prompt")

    def one_request_of_each_kind(data: memoryview) -> None:
        asked = InferenceRequest(request_id="r", prompt=Prompt(PromptKind.TEXT, data))
        decisions.request_routed(decision(asked.without_prompt()))
        try:
            raise ResourceExhausted("no room")
        except ResourceExhausted as refusal:
            decisions.request_refused(asked, refusal)

    one_request_of_each_kind(memoryview(body))

    body.append(1)  # raises BufferError while any view of it is alive
    assert len(decisions) == 2


def test_whatever_clients_write_can_be_shown() -> None:
    decisions = log()
    decisions.request_routed(decision(request("r\ud800", "m\udfff")))

    (explained,) = decisions.explain()

    assert (explained["request_id"], explained["model"]) == ("r?", "m?")


@given(st.lists(st.tuples(st.sampled_from(["route", "end", "refuse"]), st.integers(0, 8)), max_size=60))
def test_the_ring_is_bounded_and_remembers_only_what_it_keeps(steps: list[tuple[str, int]]) -> None:
    decisions = log(most_records=4, most_scores=20)
    for step, serial in steps:
        routed = decision(request(), endpoint(0), endpoint(1), scores=SCORES, serial=serial)
        if step == "route" and serial not in decisions._under_way:
            decisions.request_routed(routed)
        elif step == "end":
            decisions.request_finished(routed, report())
        elif step == "refuse":
            decisions.request_refused(request(), ResourceExhausted("no"))

        assert len(decisions) <= 4
        assert decisions._scores <= 20
        assert set(map(id, decisions._under_way.values())) <= set(map(id, decisions._records))


def test_the_choice_is_made_at_once_and_the_words_later() -> None:
    decisions = log(most_records=1)
    decisions.request_routed(decision(request("first")))
    words = decisions.prepare(limit=1)
    decisions.request_routed(decision(request("second"), serial=2))

    assert [explained["request_id"] for explained in words()] == ["first"]


def test_what_decides_nothing_is_not_recorded() -> None:
    decisions = log()
    decisions.request_started(request())
    decisions.picker_bypassed("10.0.0.1:8000")

    assert decisions.explain() == []
