"""Membership: the order in which proxy, picks and scrapes learn of endpoints, and what happens when a write fails."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import capture_logs

from epp.app.membership import Membership
from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import ObjectState
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.observe.families import Dialect
from epp.edge.observe.sink import PrometheusSink
from tests.support.membership_rig import POOL, A, B, C, Rig, hosts, state, unexpected_wait


def test_an_endpoint_is_written_before_it_may_be_picked_and_scraped_afterwards(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.take(A, B) == [
        "Envoy knows ab, pickable ",
        "scraping a, pickable ab",
        "scraping b, pickable ab",
        "changed to ab",
    ]


def test_followers_are_told_who_is_in_force(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    assert list(rig.followed) == [A, B]
    rig.eds.plan = [False]
    rig.take(B, C)
    assert list(rig.followed) == [A, B], "the former ones stay in force"
    rig.membership.tidy()
    assert list(rig.followed) == [B]
    rig.envoy_reads()
    assert list(rig.followed) == [B, C]


def test_a_removed_endpoint_leaves_the_file_when_picks_of_it_have_arrived(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    assert rig.take(B) == ["Envoy knows ab, pickable ab", "changed to b"]
    rig.steps.clear()
    rig.membership.tidy()
    rig.membership.tidy()
    assert rig.steps == ["Envoy knows b, pickable b"]


def test_one_that_comes_back_before_that_stays(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    rig.take(B)
    rig.take(A, B)
    rig.membership.tidy()
    assert rig.eds.known == {A.address, B.address}


def test_a_pool_that_vanishes_empties_the_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.membership.objects_changed(ObjectState(None, ()))
    assert rig.roster.current.pool is None
    rig.membership.tidy()
    assert rig.eds.known == set()


def test_when_the_file_cannot_be_written_the_former_state_stays_in_force(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.eds.plan = [False]
    with capture_logs() as lines:
        assert rig.take(A, B) == []

    assert rig.pickable == "a"
    assert rig.eds.known == {A.address}
    assert rig.membership.problem == "cannot write: the disk is full"
    assert [(line["log_level"], line["problem"]) for line in lines] == [("error", "cannot write: the disk is full")]
    assert "the former ones stay in force" in lines[0]["event"]


def test_a_failed_write_is_made_up_for_later_and_complained_of_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.eds.plan = [False, False, False]
    with capture_logs() as lines:
        rig.take(A)
        rig.membership.tidy()
        rig.membership.tidy()
        assert rig.pickable == ""
        rig.membership.tidy()

    assert rig.pickable == "a"
    assert rig.eds.known == {A.address}
    assert rig.membership.problem == ""
    assert [line["log_level"] for line in lines] == ["error", "info"]


def test_an_endpoint_that_could_not_be_taken_out_of_the_file_is_not_picked_any_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    rig.eds.plan = [True, False]
    with capture_logs() as lines:
        rig.take(B)
        rig.membership.tidy()
    assert rig.pickable == "b"
    assert rig.eds.known == {A.address, B.address}
    assert "removed endpoints stay in Envoy's file for now" in [line["event"] for line in lines]

    rig.steps.clear()
    rig.membership.tidy()
    assert rig.eds.known == {B.address}
    assert rig.steps == ["Envoy knows b, pickable b"], "the pool itself did not change again"


def test_without_trouble_a_retry_does_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.membership.tidy()
    rig.take(A)
    rig.steps.clear()
    rig.membership.tidy()
    assert rig.steps == []


def test_names_of_objectives_get_their_place_among_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    known: list[set[str]] = []
    monkeypatch.setattr(rig.membership, "_sink", SimpleNamespace(known_names=known.append))
    rig.membership.objects_changed(ObjectState(POOL, (A,), (InferenceObjective("default", "premium", "pool", 5),)))
    assert known == [{"premium"}]


def test_names_in_rewrites_get_their_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    known: list[set[str]] = []
    monkeypatch.setattr(rig.membership, "_sink", SimpleNamespace(known_names=known.append))
    rule = RewriteRule(("alias", "other"), (RewriteTarget("v1", 9), RewriteTarget("v2", 1)))
    rewrite = InferenceModelRewrite("default", "canary", "pool", (rule,))
    rig.membership.objects_changed(ObjectState(POOL, (A,), rewrites=(rewrite,)))
    assert known == [{"canary", "alias", "other", "v1", "v2"}]


def test_without_proxy_file_and_scraping_the_pool_is_followed_all_the_same() -> None:
    roster = Roster(InFlightLedger(), lambda: 0.0)
    changes: list[str] = []
    membership = Membership(
        roster=roster,
        poller=None,
        eds=None,
        sink=PrometheusSink(Dialect.GIE),
        logger=structlog.get_logger(),
        on_change=lambda: changes.append("changed"),
        call_later=unexpected_wait,
    )
    with capture_logs() as lines:
        membership.objects_changed(state(A, B))
    assert hosts(roster.current.endpoints) == "ab"
    assert changes == ["changed"]
    assert lines == [
        {"event": "pool changed", "log_level": "info", "pool": "pool", "endpoints": 2, "objectives": 0, "rewrites": 0},
    ]
