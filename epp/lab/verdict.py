"""Did every request go where the decision said? Compares answers, decisions, pods' journals and Envoy's counters.

Envoy's counters matter because fail-open hides a broken picker: everything is answered, and nothing was picked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from epp.edge.observe.explained import ExplainedDecision
from epp.lab.fake_vllm.journal import ServedRequest
from epp.lab.traffic import Answer

EXT_PROC_COUNTERS = ("failure_mode_allowed", "streams_failed", "spurious_msgs_received", "message_timeouts")
"""of Envoy's ext_proc filter; all are 0 while the picker works"""
MOST_NAMED = 10


class Evidence(msgspec.Struct, frozen=True):
    """What everybody saw; the two mappings are by request id."""

    answers: Sequence[Answer]
    decisions: Mapping[str, ExplainedDecision]
    served: Mapping[str, ServedRequest]
    counters: Mapping[str, int]
    picker_died: bool = False
    """then requests may pass by it, but none may fail"""


class Verdict(msgspec.Struct, frozen=True):
    """`problems` is empty when all is well; each entry is one sentence."""

    answered: int
    ok: int
    picks: Mapping[str, int]
    """picked requests per destination"""
    bypassed: int
    """requests that reached a pod without a pick"""
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


def judge(evidence: Evidence) -> Verdict:
    """Every answered request went where the picker said, or the picker was dead."""
    problems: list[str] = []
    picks: Counter[str] = Counter()
    bypassed = 0
    for answer in evidence.answers:
        told = _told(answer, evidence)
        if not answer.is_ok:
            problems.append(f"{answer.request.request_id}: status {answer.status}: {answer.problem}")
        elif not told:
            bypassed += 1
        else:
            picks[answer.served_by] += 1
        if told and answer.served_by != told and (answer.is_ok or answer.served_by):
            problems.append(
                f"{answer.request.request_id}: picked {told}, served by {answer.served_by or 'an unknown pod'}"
            )
    if not evidence.picker_died:
        if bypassed:
            problems.append(f"{bypassed} requests were answered without a decision")
        missing = sum(answer.request.request_id not in evidence.decisions for answer in evidence.answers)
        if missing:
            problems.append(f"the picker remembers no decision for {missing} requests")
        problems += [f"Envoy counted {name} = {value}" for name, value in evidence.counters.items() if value]
    return Verdict(
        answered=len(evidence.answers),
        ok=sum(answer.is_ok for answer in evidence.answers),
        picks=picks,
        bypassed=bypassed,
        counters=evidence.counters,
        problems=tuple(problems),
    )


def _told(answer: Answer, evidence: Evidence) -> str:
    """Where the request was to go: as the picker remembers it, else as the pod was told; empty for a bypass."""
    decision = evidence.decisions.get(answer.request.request_id)
    if decision is not None and decision.picked is not None:
        return decision.picked.destination
    served = evidence.served.get(answer.request.request_id)
    return served.destination.partition(",")[0] if served else ""
