"""Leader election: one leads, another follows when it ends, and never two at once, whatever the server does."""

import asyncio
import datetime as dt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.objects.kubernetes.election import (
    LEASE_S,
    RENEW_WITHIN_S,
    RETRY_S,
    Election,
    Leadership,
    LeaseRecord,
)
from epp.edge.objects.kubernetes.errors import ApiError, Conflict, Unreachable

MIDNIGHT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class SharedLease:
    """The lease of an API server: one version after the other."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.writes = 0

    def write(self, record: LeaseRecord) -> LeaseRecord:
        if record.version != (self.record.version if self.record else ""):
            raise Conflict(409, "PUT lease", "the object has been modified")
        self.writes += 1
        self.record = msgspec.structs.replace(record, version=str(self.writes))
        return self.record


class Door:
    """LeaseStore of one candidate; it may find the server closed."""

    def __init__(self, lease: SharedLease) -> None:
        self.lease = lease
        self.is_open = True
        self.patience_s: list[float] = []

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        self._pass(timeout_s)
        return self.lease.record

    async def write(self, record: LeaseRecord, renewed_at: str, timeout_s: float) -> LeaseRecord:
        self._pass(timeout_s)
        assert renewed_at.endswith("Z")
        return self.lease.write(record)

    def _pass(self, timeout_s: float) -> None:
        assert timeout_s > 0
        self.patience_s.append(timeout_s)
        if not self.is_open:
            raise Unreachable("https://api.test cannot be asked: refused")


class Candidate:
    """An election whose attempts the test makes, with a clock of its own."""

    def __init__(self, name: str, lease: SharedLease, *, clock_s: float = 0.0) -> None:
        self.now = clock_s
        self.door = Door(lease)
        self.told: list[Leadership] = []
        self.election = Election(
            self.door,
            name,
            on_change=self.told.append,
            clock=lambda: self.now,
            now=lambda: MIDNIGHT,
            sleep=asyncio.sleep,
            random=lambda: 0.0,
        )

    def attempt(self, *, after_s: float = 0.0) -> bool:
        """One turn of the loop; whether it leads now."""
        self.now += after_s
        asyncio.run(self.election._attempt())
        return self.election.leadership.leads

    def release(self) -> None:
        asyncio.run(self.election.release())


def test_the_first_to_come_leads_and_the_lease_says_so() -> None:
    lease = SharedLease()
    first, second = Candidate("a", lease), Candidate("b", lease)
    assert first.attempt()
    assert not second.attempt()
    assert lease.record == LeaseRecord("a", LEASE_S, "2026-01-01T00:00:00.000000Z", 0, "1")
    assert first.told == [Leadership(leads=True, holder="a")]
    assert second.told == [Leadership(leads=False, holder="a")]


def test_a_leader_renews_and_stays_since_when_it_leads() -> None:
    lease = SharedLease()
    leader = Candidate("a", lease)
    for _ in range(5):
        assert leader.attempt(after_s=RETRY_S)
    assert lease.record is not None
    assert (lease.writes, lease.record.transitions) == (5, 0)
    assert len(leader.told) == 1


def test_a_lease_that_does_not_change_for_its_whole_length_is_free() -> None:
    lease = SharedLease()
    Candidate("a", lease).attempt()
    other = Candidate("b", lease)
    assert not other.attempt()
    assert not other.attempt(after_s=LEASE_S - 0.1)
    assert other.attempt(after_s=0.2)
    assert lease.record is not None
    assert (lease.record.holder, lease.record.transitions) == ("b", 1)


def test_clocks_of_two_machines_need_not_agree() -> None:
    lease = SharedLease()
    leader, other = Candidate("a", lease), Candidate("b", lease, clock_s=1e9)
    for _ in range(20):
        assert leader.attempt(after_s=RETRY_S)
        assert not other.attempt(after_s=RETRY_S), "what counts is that the lease changes"


def test_a_leader_without_the_server_ends_before_anybody_else_begins() -> None:
    lease = SharedLease()
    leader, other = Candidate("a", lease), Candidate("b", lease)
    assert leader.attempt()
    assert not other.attempt()
    leader.door.is_open = False
    assert leader.attempt(after_s=RENEW_WITHIN_S - 0.1), "an API server that restarts moves nobody"
    assert leader.told[-1].problem.startswith("the lease cannot be renewed: https://api.test")
    assert not leader.attempt(after_s=0.2)
    assert not other.attempt(after_s=RENEW_WITHIN_S + 0.1), "nobody leads for a moment"
    assert other.attempt(after_s=LEASE_S - RENEW_WITHIN_S)
    leader.door.is_open = True
    assert not leader.attempt(after_s=RETRY_S)
    assert leader.told[-1] == Leadership(leads=False, holder="b")


def test_a_leader_is_never_more_patient_than_it_may_lead() -> None:
    leader = Candidate("a", SharedLease())
    leader.attempt()
    leader.attempt(after_s=RENEW_WITHIN_S - 1.0)
    assert leader.door.patience_s[2] == pytest.approx(1.0)


def test_a_lease_that_is_given_back_is_taken_at_once() -> None:
    lease = SharedLease()
    leader, other = Candidate("a", lease), Candidate("b", lease)
    leader.attempt()
    other.attempt()
    leader.release()
    assert leader.told[-1] == Leadership(leads=False)
    assert other.attempt(after_s=0.1)


def test_a_standby_gives_nothing_back() -> None:
    lease = SharedLease()
    leader, other = Candidate("a", lease), Candidate("b", lease)
    leader.attempt()
    other.attempt()
    other.release()
    Candidate("c", lease).release()
    assert lease.record is not None
    assert lease.record.holder == "a"


def test_a_lease_that_cannot_be_given_back_is_said() -> None:
    leader = Candidate("a", SharedLease())
    leader.attempt()
    leader.door.is_open = False
    leader.release()
    assert leader.told[-1].problem.startswith("the lease was not given back: ")


def test_of_two_that_write_at_once_one_leads() -> None:
    lease = SharedLease()
    first, second = Candidate("a", lease), Candidate("b", lease)
    read = second.door.read

    async def read_and_be_overtaken(timeout_s: float) -> LeaseRecord | None:
        found = await read(timeout_s)
        await first.election._attempt()
        return found

    second.door.read = read_and_be_overtaken  # type: ignore[method-assign]
    assert not second.attempt()
    assert first.election.leadership.leads
    assert second.told == [], "losing a race is no problem to tell of"


def test_somebody_elses_change_of_the_lease_ends_nobodys_lead() -> None:
    lease = SharedLease()
    leader = Candidate("a", lease)
    leader.attempt()
    assert lease.record is not None
    lease.write(lease.record)  # an annotation, say
    assert leader.attempt(after_s=RETRY_S)


class FailingStore:
    async def read(self, timeout_s: float) -> LeaseRecord | None:
        raise ApiError("no")

    async def write(self, record: LeaseRecord, renewed_at: str, timeout_s: float) -> LeaseRecord:
        raise ApiError("no")


async def test_the_loop_pauses_between_attempts_and_goes_on() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError

    election = Election(
        FailingStore(),
        "a",
        on_change=lambda _: None,
        clock=lambda: 0.0,
        now=lambda: MIDNIGHT,
        sleep=sleep,
        random=lambda: 0.5,
    )
    with pytest.raises(asyncio.CancelledError):
        await election.run()
    assert waits == [RETRY_S * 1.1] * 3
    assert election.leadership == Leadership(leads=False, problem="the lease cannot be renewed: no")


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["attempt", "attempt", "attempt", "close", "open", "release"])),
    max_size=80,
)


@given(STEPS, st.lists(st.floats(0.0, 8.0), min_size=80, max_size=80))
@settings(max_examples=150, deadline=None)
def test_never_two_at_once(steps: list[tuple[int, str]], gaps: list[float]) -> None:
    """Time passes for all alike; a replica knows that its time is over when its own clock says so."""
    lease = SharedLease()
    candidates = [Candidate(name, lease, clock_s=offset) for name, offset in (("a", 0.0), ("b", 500.0), ("c", -80.0))]
    for (who, what), gap_s in zip(steps, gaps, strict=False):
        for candidate in candidates:
            candidate.now += gap_s
        acting = candidates[who]
        if what == "attempt":
            acting.attempt()
        elif what == "release":
            acting.release()
        else:
            acting.door.is_open = what == "open"
        leading = [
            candidate
            for candidate in candidates
            if candidate.election.leadership.leads and candidate.now < candidate.election._renewed_at + RENEW_WITHIN_S
        ]
        assert len(leading) <= 1
