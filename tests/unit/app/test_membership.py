"""Membership: the order in which proxy, picks and scrapes learn of endpoints, and what happens when a write fails."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from epp.app.membership import ENVOY_READS_WITHIN_S, Membership
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.gateway.eds import EdsFile, EdsWriteError
from epp.edge.observe.families import Dialect
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.dialects import Dialects
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.metrics_page import Told
from epp.edge.scrape.period import ScrapeBudget
from epp.edge.scrape.poller import Poller

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))
A, B, C = (
    Endpoint.create(namespace="default", pod=name, rank=0, address=f"10.0.0.{number}", port=8000)
    for number, name in enumerate("abc", 1)
)


def state(*endpoints: Endpoint) -> ObjectState:
    return ObjectState(POOL, endpoints)


def hosts(endpoints: Iterable[Endpoint]) -> str:
    return "".join(sorted(endpoint.pod for endpoint in endpoints))


class RecordingEds(EdsFile):
    """Notes each write together with who could be picked at that moment.

    `plan` says of the next writes which succeed; after it all do.
    """

    def __init__(self, path: Path, steps: list[str], roster: Roster) -> None:
        super().__init__(path)
        self.plan: list[bool] = []
        self._steps = steps
        self._roster = roster

    def write(self, endpoints: Iterable[tuple[str, int]]) -> None:
        listed = list(endpoints)
        if self.plan and not self.plan.pop(0):
            raise EdsWriteError("cannot write: the disk is full")
        super().write(listed)
        names = "".join(sorted({each.pod for each in (A, B, C) if (each.address, each.port) in listed}))
        self._steps.append(f"Envoy knows {names or 'nobody'}, pickable {hosts(self._roster.current.endpoints)}")

    @property
    def known(self) -> set[str]:
        """Addresses in the file."""
        response = msgspec.json.decode(self.path.read_bytes())
        listed = response["resources"][0]["endpoints"]
        found = listed[0]["lb_endpoints"] if listed else []
        return {each["endpoint"]["address"]["socket_address"]["address"] for each in found}


class Rig:
    """A Membership with everything real around it but the failures."""

    def __init__(self, directory: Path) -> None:
        self.steps: list[str] = []
        self._reads: list[Callable[[], None]] = []
        self.followed: tuple[Endpoint, ...] = ()
        self.roster = Roster(InFlightLedger(), lambda: 0.0)
        self.eds = RecordingEds(directory / "eds.json", self.steps, self.roster)
        self.sink = PrometheusSink(Dialect.GIE)
        self.membership = Membership(
            roster=self.roster,
            poller=Poller(
                self.roster,
                self._page,
                Dialects({}, VLLM).reader_of,
                is_busy=lambda _: False,
                on_problem=_unexpected,
                budget=ScrapeBudget(),
            ),
            followers=(self,),
            eds=self.eds,
            sink=self.sink,
            logger=structlog.get_logger(),
            on_change=lambda: self.steps.append(f"changed to {hosts(self.roster.current.endpoints)}"),
            call_later=self._later,
        )

    def _later(self, delay_s: float, step: Callable[[], None]) -> None:
        assert delay_s == ENVOY_READS_WITHIN_S
        self._reads.append(step)

    def envoy_reads(self) -> list[str]:
        """What happens when Envoy has had the time to read the oldest write that somebody waits for."""
        self.steps.clear()
        self._reads.pop(0)()
        return list(self.steps)

    def take(self, *endpoints: Endpoint) -> list[str]:
        """What happens when these are the pool's endpoints, step by step."""
        self.steps.clear()
        self.membership.objects_changed(state(*endpoints))
        return list(self.steps)

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """As a follower."""
        self.followed = tuple(endpoints)

    @property
    def pickable(self) -> str:
        return hosts(self.roster.current.endpoints)

    def _page(self, endpoint: Endpoint) -> "_Page":
        self.steps.append(f"scraping {endpoint.pod}, pickable {self.pickable}")
        return _Page()


class _Page:
    url = "unused"

    def read(self, told: Told) -> None:
        raise AssertionError("nobody runs the poller")

    def close(self) -> None:
        """Nothing to close."""


def _unexpected_wait(delay_s: float, step: Callable[[], None]) -> NoReturn:
    raise AssertionError(f"waits {delay_s} s for {step}")


def _unexpected(problem: object) -> NoReturn:
    raise AssertionError(problem)


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


def test_one_that_joins_is_picked_when_envoy_has_had_time_to_read_of_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    assert rig.take(A, B) == ["Envoy knows ab, pickable a"]
    assert rig.envoy_reads() == ["scraping b, pickable ab", "changed to ab"]


def test_another_change_meanwhile_makes_nobody_wait_longer(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(A, B, C) == ["Envoy knows abc, pickable a"]
    assert rig.envoy_reads() == ["scraping b, pickable ab", "changed to ab"]
    assert rig.envoy_reads() == ["scraping c, pickable abc", "changed to abc"]


def test_one_that_leaves_does_so_at_once_while_another_waits_to_join(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A, B)
    assert rig.take(B, C) == ["Envoy knows abc, pickable ab", "changed to b"]
    assert rig.envoy_reads() == ["scraping c, pickable bc", "changed to bc"]


def test_nobody_waits_where_all_are_replaced_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(B, C) == [
        "Envoy knows abc, pickable a",
        "scraping b, pickable bc",
        "scraping c, pickable bc",
        "changed to bc",
    ]


def test_the_first_ones_of_an_empty_pool_wait_like_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take()
    assert rig.take(A) == ["Envoy knows a, pickable "]
    assert rig.envoy_reads() == ["scraping a, pickable a", "changed to a"]


def test_one_that_leaves_before_envoy_read_of_it_is_never_picked(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    assert rig.take(A) == ["Envoy knows a, pickable a", "changed to a"]
    assert rig.take(A, B) == ["Envoy knows ab, pickable a"]
    assert rig.envoy_reads() == [], "that was for the first time"
    assert rig.pickable == "a"
    rig.envoy_reads()
    assert rig.pickable == "ab"


def test_envoy_reads_while_a_later_change_could_not_be_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.take(A)
    rig.take(A, B)
    rig.eds.plan = [False]
    rig.take(A, B, C)
    assert rig.envoy_reads() == [], "the last state is not in the file"
    rig.membership.tidy()
    rig.envoy_reads()
    assert rig.pickable == "abc"


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
    monkeypatch.setattr(rig.sink, "known_names", known.append)
    rig.membership.objects_changed(ObjectState(POOL, (A,), (InferenceObjective("default", "premium", "pool", 5),)))
    assert known == [{"premium"}]


def test_names_in_rewrites_get_their_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    known: list[set[str]] = []
    monkeypatch.setattr(rig.sink, "known_names", known.append)
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
        call_later=_unexpected_wait,
    )
    with capture_logs() as lines:
        membership.objects_changed(state(A, B))
    assert hosts(roster.current.endpoints) == "ab"
    assert changes == ["changed"]
    assert lines == [
        {"event": "pool changed", "log_level": "info", "pool": "pool", "endpoints": 2, "objectives": 0, "rewrites": 0},
    ]
