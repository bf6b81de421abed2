"""What `epp up --once` says at its end."""

import io

from rich.console import Console

from epp.lab.report import render_verdict
from epp.lab.verdict import EXT_PROC_COUNTERS, MOST_NAMED, Verdict


def shown(problems: tuple[str, ...] = (), bypassed: int = 0) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    counters = dict.fromkeys(EXT_PROC_COUNTERS, 0)
    verdict = Verdict(7, 6, {"127.0.0.12:8000": 2, "127.0.0.11:8000": 4}, bypassed, counters, problems)
    console.print(render_verdict(verdict))
    return console.export_text()


def test_a_good_end_shows_picks_per_pod_and_says_so() -> None:
    text = shown()
    rows = [line.split("│")[1:3] for line in text.splitlines() if "│" in line]
    assert [(pod.strip(), count.strip()) for pod, count in rows] == [("127.0.0.11:8000", "4"), ("127.0.0.12:8000", "2")]
    assert "answered 6 of 7; bypassed the picker: 0" in text
    for name in EXT_PROC_COUNTERS:
        assert f"{name} 0" in text
    assert "every picked request was served by the pod that the decision named" in text


def test_problems_take_the_place_of_the_good_end() -> None:
    text = shown(("up-000001: picked a, served by b", "Envoy counted streams_failed = 2"), bypassed=3)
    assert "bypassed the picker: 3" in text
    assert "up-000001: picked a, served by b\nEnvoy counted streams_failed = 2" in text
    assert "every picked request" not in text
    assert "more problems" not in text


def test_many_problems_are_counted() -> None:
    text = shown(tuple(f"problem {number}." for number in range(MOST_NAMED + 5)))
    assert f"problem {MOST_NAMED - 1}." in text
    assert f"problem {MOST_NAMED}." not in text
    assert "and 5 more problems" in text
