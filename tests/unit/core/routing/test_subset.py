"""The subset hint: which endpoints its entries name."""

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.routing.subset import within_subset
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.core.state.snapshot import PoolSnapshot

ADDRESSES = [("a", "10.0.0.1", 8000), ("a", "10.0.0.1", 8001), ("b", "10.0.0.2", 8000), ("c", "fd00::3", 8000)]


@pytest.fixture
def snapshot() -> PoolSnapshot:
    endpoints = tuple(
        Endpoint.create(namespace="default", pod=pod, rank=rank, address=address, port=port)
        for rank, (pod, address, port) in enumerate(ADDRESSES)
    )
    roster = Roster(InFlightLedger(), lambda: 0.0)
    pool = InferencePool("default", "pool", {"app": "vllm"}, (8000, 8001))
    roster.objects_changed(ObjectState(pool, endpoints))
    return roster.current


@pytest.mark.parametrize(
    ("subset", "named"),
    [
        (("10.0.0.1:8001",), ["10.0.0.1:8001"]),
        (("10.0.0.1",), ["10.0.0.1:8000", "10.0.0.1:8001"]),
        (("10.0.0.1:8000", "10.0.0.1:8000", "10.0.0.1"), ["10.0.0.1:8000", "10.0.0.1:8001"]),
        (("10.0.0.2:8000", "10.0.0.1:8000"), ["10.0.0.1:8000", "10.0.0.2:8000"]),
        (("fd00::3",), ["[fd00::3]:8000"]),
        (("[fd00::3]",), ["[fd00::3]:8000"]),
        (("[fd00::3]:8000",), ["[fd00::3]:8000"]),
        (("10.0.0.1:9999",), []),
        (("10.0.0.9", "10.0.0.9:8000", "[fd00::9]:8000", "[fd00::3]:1"), []),
        (("", ":", ":8000", "[]", "[", "garbage", "10.0.0.1:"), []),
        ((), []),
    ],
)
def test_entries_name_endpoints(snapshot: PoolSnapshot, subset: tuple[str, ...], named: list[str]) -> None:
    candidates = within_subset(snapshot, subset)
    assert [endpoint.destination for endpoint in candidates.endpoints] == named
    assert candidates.slots.tolist() == [
        slot for endpoint, slot in zip(snapshot.endpoints, snapshot.slots, strict=True) if endpoint.destination in named
    ]


def test_nobody_is_named_in_an_empty_pool() -> None:
    assert len(within_subset(Roster(InFlightLedger(), lambda: 0.0).current, ("10.0.0.1",))) == 0
