from collections import Counter

import pytest

from epp.edge.observe import families, flow_families, picker_families
from epp.edge.observe.describe import SECTIONS
from epp.edge.observe.families import Dialect, Family
from tests.support.reference_metrics import BUCKETS, GIE, GIE_FLOW_CONTROL, LLM_D, LLM_D_FLOW_CONTROL

MODULES = (families, flow_families, picker_families)
ALL = [value for module in MODULES for value in vars(module).values() if isinstance(value, Family)]
ALL_GIE, ALL_LLM_D = GIE | GIE_FLOW_CONTROL, LLM_D | LLM_D_FLOW_CONTROL


def shown(dialect: Dialect) -> dict[str, str]:
    return {
        exposed.name: " ".join(name for name, _ in exposed.labels)
        for family in ALL
        for exposed in family.exposed(dialect)
        if not exposed.name.startswith("epp_")
    }


@pytest.mark.parametrize(
    ("dialect", "expected"), [(Dialect.GIE, ALL_GIE), (Dialect.LLM_D, ALL_LLM_D), (Dialect.BOTH, ALL_GIE | ALL_LLM_D)]
)
def test_names_and_labels_are_the_references(dialect: Dialect, expected: dict[str, str]) -> None:
    assert shown(dialect) == expected


def test_buckets_are_the_references() -> None:
    ours = {
        family.gie.name: family.buckets
        for family in vars(families).values()
        if isinstance(family, Family) and family.gie and family.kind == "histogram"
    }

    assert ours == {name: tuple(map(float, bounds.split())) for name, bounds in BUCKETS.items()}


@pytest.mark.parametrize("dialect", Dialect)
def test_own_names_are_shown_in_every_dialect(dialect: Dialect) -> None:
    own = {exposed.name for family in ALL for exposed in family.exposed(dialect) if exposed.name.startswith("epp_")}

    assert own == {
        "epp_bypassed_responses_total",
        "epp_buffered_bytes",
        "epp_connections_ended_total",
        "epp_cooling_endpoints",
        "epp_disagg_decisions_total",
        "epp_in_flight_requests",
        "epp_load_gap_requests",
        "epp_object_problems",
        "epp_objects_stale_seconds",
        "epp_picker_process_cpu_seconds",
        "epp_picker_process_requests_total",
        "epp_picker_process_resident_bytes",
        "epp_picker_process_restarts_total",
        "epp_picker_process_silences_total",
        "epp_picker_process_streams_open",
        "epp_picker_processes_serving",
        "epp_prefix_index_blocks",
        "epp_requests_read_total",
        "epp_reservations_open",
        "epp_scrape_failures_total",
        "epp_served_not_picked_total",
        "epp_stale_endpoints",
        "epp_streams_open",
        "epp_unconfirmed_evictions_total",
    }


def test_no_two_families_share_a_name() -> None:
    names = Counter(exposed.name for family in ALL for exposed in family.exposed(Dialect.BOTH))

    assert max(names.values()) == 1


def test_counters_and_only_they_end_in_total() -> None:
    for family in ALL:
        for exposed in family.exposed(Dialect.BOTH):
            assert exposed.name.endswith("_total") == (family.kind == "counter"), exposed.name


def test_every_family_is_described() -> None:
    described = [family for _, _, members in SECTIONS for family in members]

    assert sorted(described, key=repr) == sorted(ALL, key=repr)
