"""Did every request go where the decision said? Compares answers, decisions and Envoy's own counters.

Envoy's counters matter because fail-open hides a broken picker: everything is answered, and nothing was picked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from epp.edge.observe.decisions import ExplainedDecision
from epp.lab.traffic import Answer

EXT_PROC_COUNTERS = ("failure_mode_allowed", "streams_failed", "spurious_msgs_received", "message_timeouts")
"""of Envoy's ext_proc filter; all are 0 while the picker works"""


class Verdict(msgspec.Struct, frozen=True):
    """`problems` is empty when all is well; each entry is one sentence."""

    answered: int
    ok: int
    picks: Mapping[str, int]
    """requests served per destination"""
    bypassed: int
    """requests that Envoy let through without the picker"""
    counters: Mapping[str, int]
    problems: tuple[str, ...]


def ext_proc_counters(stats: Mapping[str, int | float]) -> dict[str, int]:
    """The four counters out of Envoy's statistics, summed over filters."""
    totals = dict.fromkeys(EXT_PROC_COUNTERS, 0)
    for name, value in stats.items():
        last = name.rpartition(".")[2]
        if ".ext_proc." in name and last in totals:
            totals[last] += int(value)
    return totals


def judge(
    answers: Sequence[Answer],
    decisions: Mapping[str, ExplainedDecision],
    counters: Mapping[str, int],
    *,
    picker_died: bool = False,
) -> Verdict:
    """`decisions` by request id. After the picker's death requests may pass by it, but none may fail."""
    problems = [
        f"{answer.request.request_id}: status {answer.status}: {answer.problem}"
        for answer in answers
        if not answer.is_ok
    ]
    unpicked = 0
    for answer in answers:
        decision = decisions.get(answer.request.request_id)
        if not answer.is_ok:
            continue
        if decision is None or decision.picked is None:
            unpicked += 1
        elif decision.picked.destination != answer.served_by:
            problems.append(
                f"{answer.request.request_id}: picked {decision.picked.destination}, served by {answer.served_by}"
            )
    if not picker_died:
        if unpicked:
            problems.append(f"{unpicked} requests were answered without a decision")
        problems += [f"Envoy counted {name} = {value}" for name, value in counters.items() if value]
    return Verdict(
        answered=len(answers),
        ok=sum(answer.is_ok for answer in answers),
        picks=Counter(answer.served_by for answer in answers if answer.is_ok),
        bypassed=unpicked,
        counters=counters,
        problems=tuple(problems),
    )
