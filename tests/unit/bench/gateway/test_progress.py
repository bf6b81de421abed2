"""What is shown while a run goes on."""

import io

from rich.console import Console

from bench.gateway.cases import QUICK, all_cases
from bench.gateway.progress import CaseProgress, seconds_left
from tests.support.virtual_clock import VirtualClock

CASES = all_cases(quick=True)


def test_without_a_terminal_every_case_is_a_line() -> None:
    shown = io.StringIO()
    with CaseProgress(CASES, QUICK, console=Console(file=shown)) as progress:
        progress.begin(CASES[0])
        progress.begin(CASES[1])
        progress.note("something else")
    assert shown.getvalue().splitlines() == [CASES[0].name, CASES[1].name, "something else"]


def test_on_a_terminal_the_rest_is_counted_down() -> None:
    shown = io.StringIO()
    clock = VirtualClock()
    left_s = seconds_left(CASES, QUICK)
    console = Console(file=shown, force_terminal=True, width=100)
    with CaseProgress(CASES, QUICK, console=console, clock=clock) as progress:
        progress.begin(CASES[-1])
        clock.now += left_s[CASES[-1].name] - 2.0
        progress._progress.refresh()
    assert "0:02 left" in shown.getvalue()
    assert CASES[-1].name in shown.getvalue()
