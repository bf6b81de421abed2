"""Counts of several processes on one page: sums, also of those that have ended."""

from collections.abc import Iterable

from epp.core.domain.ports import TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.edge.observe import families
from epp.edge.observe.cells import Histogram
from epp.edge.observe.exposition import Series, Value
from epp.edge.observe.families import Family
from epp.edge.observe.sink import PrometheusSink, RequestTotals
from epp.edge.observe.told_counts import ToldCounts, family_name, known_families, written_counts
from tests.support.routed_requests import decision, endpoint, report


def counting(requests: int, *, finished: int) -> PrometheusSink:
    """A sink that has seen so many requests; their serials differ."""
    sink = PrometheusSink()
    for number in range(requests):
        routed = decision(InferenceRequest(request_id="", model="m", target_model="m"), endpoint(1), serial=number)
        sink.request_started(routed.request)
        sink.request_routed(routed)
        if number < finished:
            sink.request_finished(routed, report(usage=TokenUsage(prompt_tokens=40)))
    return sink


def told(sink: PrometheusSink) -> bytes:
    return written_counts(sink.totals(), [(family, source()) for family, source in sink.bindings()])


def value(counts: ToldCounts, family: Family) -> Value:
    """The sum of all series of a family; of histograms, the number of values."""
    sources = {family_name(each): source for each, source in counts.bindings()}
    series: Iterable[Series] = sources[family_name(family)]()
    return sum(sum(one.counts) if isinstance(one, Histogram) else one for _, one in series)


def test_no_two_families_go_by_one_name_and_none_has_no_name() -> None:
    assert "" not in known_families()
    assert len(set(map(id, known_families().values()))) == len(known_families())


def test_counters_histograms_and_gauges_of_all_processes_are_added_up() -> None:
    counts = ToldCounts(counting(1, finished=0))
    counts.told(0, told(counting(5, finished=2)))
    counts.told(1, told(counting(7, finished=7)))
    assert value(counts, families.REQUESTS) == 13
    assert value(counts, families.RUNNING) == 4
    assert value(counts, families.INPUT_TOKENS) == 9
    assert counts.totals() == RequestTotals(routed=13, finished=9)
    assert counts.totals_of(1).routed == 7


def test_what_a_process_tells_replaces_what_it_told_before() -> None:
    counts = ToldCounts(PrometheusSink())
    counts.told(0, told(counting(5, finished=2)))
    counts.told(0, told(counting(6, finished=6)))
    assert value(counts, families.REQUESTS) == 6
    assert value(counts, families.INPUT_TOKENS) == 6


def test_counts_of_an_ended_process_stay_and_its_gauges_do_not() -> None:
    counts = ToldCounts(PrometheusSink())
    for _ in range(2):
        counts.told(0, told(counting(5, finished=2)))
        counts.ended(0)
    counts.told(0, told(counting(1, finished=0)))
    assert value(counts, families.REQUESTS) == 11
    assert value(counts, families.INPUT_TOKENS) == 4
    assert value(counts, families.RUNNING) == 1
    assert counts.totals() == RequestTotals(routed=11, finished=4)
    counts.ended(7)
    assert value(counts, families.REQUESTS) == 11, "one that never told anything"
