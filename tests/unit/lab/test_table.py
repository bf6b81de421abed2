"""The live table: pods, scores of the last decision, totals, and a line to paste."""

import io
import json
import shlex

import msgspec
from rich.console import Console

from epp.edge.observe.explained import ExplainedCandidate, ExplainedDecision, ExplainedEndpoint
from epp.edge.observe.pool_reading import EndpointReading
from epp.lab.plan import ADAPTERS
from epp.lab.table import Tally, View, curl_line, render

URL = "http://127.0.0.1:8080"
A, B = "127.0.0.11:8000", "127.0.0.12:8000"
READING = EndpointReading(
    name="vllm-0-rank-0",
    namespace="default",
    pod="vllm-0",
    destination=A,
    slot=0,
    generation=1,
    in_flight=3,
    in_flight_tokens=30,
    waiting=2.0,
    running=5.0,
    kv_usage=0.42,
    kv_blocks=2000.0,
    kv_block_tokens=16.0,
    max_adapters=2.0,
    running_adapters=["food-review", "cad-fabricator"],
    waiting_adapters=[],
    attributes={},
    metrics_age_s=0.1,
    stale=False,
    cooling=False,
    load_gap=0.0,
)
OTHER = msgspec.structs.replace(READING, pod="vllm-1", destination=B, running_adapters=[], stale=True)
DECISION = ExplainedDecision(
    when="2026-01-01T00:00:00.000+00:00",
    request_id="up-000007",
    model="food-review",
    target_model="food-review",
    model_rewrite="",
    priority=10,
    fairness_id="",
    streaming=False,
    body_bytes=100,
    prompt_tokens=123,
    scheduler_s=0.001,
    picked=ExplainedEndpoint("vllm-0-rank-0", A),
    fallbacks=[],
    profile="default",
    weights={"queue-scorer": 2.0, "kv-cache-utilization-scorer": 2.0, "prefix-cache-scorer": 3.5},
    candidates=[
        ExplainedCandidate(
            "vllm-0-rank-0",
            A,
            5.16,
            {"queue-scorer": 1.0, "kv-cache-utilization-scorer": 0.58, "prefix-cache-scorer": 0.57},
        )
    ],
    candidates_left_off=0,
    refusal=None,
    end=None,
)
VIEW = View(URL, (READING, OTHER), {A: 9}, DECISION, Tally(sent=12, ok=9, refused=2, failed=1))


def shown(view: View, *, styles: bool = False) -> str:
    """The rendered view; with `styles` as a terminal gets it."""
    console = Console(width=200, record=True, file=io.StringIO(), force_terminal=styles, color_system="standard")
    console.print(render(view))
    return console.export_text(styles=styles)


def row(text: str, pod: str) -> list[str]:
    """The cells of a pod."""
    line = next(line for line in text.splitlines() if line.startswith(f"│ {pod}"))
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_pod_has_its_load_its_picks_and_the_scores_of_the_last_decision() -> None:
    text = shown(VIEW)
    head = next(line for line in text.splitlines() if "address" in line)
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == [
        *("pod", "address", "queue", "running", "KV", "in flight", "picks", "adapters"),
        *("queue ×2", "kv-cache ×2", "prefix-cache ×3.5", "total"),
    ]
    assert row(text, "vllm-0") == [
        *("vllm-0", A, "2", "5", "42%", "3", "9", "food-review, cad-fabricator"),
        *("1.00", "0.58", "0.57", "5.16"),
    ]


def test_a_pod_that_was_no_candidate_has_no_scores() -> None:
    assert row(shown(VIEW), "vllm-1")[6:] == ["0", "-", "-", "-", "-", "-"]


def test_the_last_decision_in_words() -> None:
    words = f"up-000007 (food-review, priority 10, about 123 prompt tokens) went to {A}"
    assert f"last decision: {words}" in shown(VIEW)


def test_before_the_first_decision_there_are_no_scorers() -> None:
    text = shown(msgspec.structs.replace(VIEW, last=None))
    assert "no decision yet" in text
    assert "×" not in text
    assert row(text, "vllm-0")[-1] == "-"


def test_totals_and_trouble() -> None:
    text = shown(VIEW)
    assert "sent 12, answered 9, refused 2, failed 1, bypassed the picker 0" in text
    assert "the picker is down" not in text

    down = shown(msgspec.structs.replace(VIEW, tally=Tally(bypassed=4), picker_is_up=False))
    assert "bypassed the picker 4   the picker is down: Envoy lets requests through" in down


def test_the_picked_pod_stands_out_and_a_stale_one_recedes() -> None:
    lines = shown(VIEW, styles=True).splitlines()
    bold_green, dim = "\x1b[1;32m", "\x1b[2m"
    assert any(bold_green in line and "vllm-0" in line for line in lines)
    assert any(dim in line and "vllm-1" in line for line in lines)
    cooling = msgspec.structs.replace(OTHER, stale=False, cooling=True)
    assert any(
        dim in line and "vllm-1" in line
        for line in shown(msgspec.structs.replace(VIEW, endpoints=(cooling,)), styles=True).splitlines()
    )


def test_the_curl_line_can_be_pasted() -> None:
    words = shlex.split(curl_line(URL))
    assert words[:4] == ["curl", "-i", "-X", "POST"]
    assert f"{URL}/v1/completions" in words
    assert json.loads(words[-1])["model"] == ADAPTERS[0]
    assert curl_line(URL) in "".join(shown(VIEW).splitlines())
