"""The window of bursts: who waits in it, when it closes, where its requests go, and that nothing is lost or leaks."""

import numpy as np
import pytest

from epp.core.domain.errors import DroppedReason, InternalError
from epp.core.routing import bursts
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.state.columns import FloatColumn
from tests.support.burst_pool import BurstPool

A = "a" * 256
TTL = "x-llm-d-request-ttl-ms"


class Broken:
    """A scorer with a fault, for some requests."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        if cycle.request.request_id.startswith("bad"):
            raise ZeroDivisionError
        return np.zeros(len(candidates))


def test_requests_wait_for_the_window_and_go_together() -> None:
    pool = BurstPool(endpoints=4)
    for name in "wxyz":
        pool.ask(name, A)
    pool.pass_time(0.09)
    assert (len(pool.router), pool.ledger.open_count) == (4, 0)
    pool.pass_time(0.011)
    assert len(set(pool.where.values())) == 1
    assert sorted(pool.counts) == [0, 0, 0, 4]
    assert list(pool.where) == ["w", "x", "y", "z"], "in the order of arrival"


def test_each_prompt_has_an_endpoint_of_its_own() -> None:
    pool = BurstPool(endpoints=4)
    for number in range(40):
        pool.ask(f"{number}", "abcd"[number % 4] * 300)
    pool.pass_time(0.1)
    assert pool.counts == [10, 10, 10, 10]
    for number in range(40):
        assert pool.where[f"{number}"] == pool.where[f"{number % 4}"]


def test_the_window_begins_with_its_first_request() -> None:
    pool = BurstPool()
    pool.ask("first", A)
    pool.pass_time(0.08)
    pool.ask("second", A)
    pool.pass_time(0.021)
    assert list(pool.decisions) == ["first", "second"]
    pool.ask("third", A)
    pool.pass_time(0.09)
    assert list(pool.tickets) == ["third"]


def test_a_window_wakes_whoever_runs_the_loop_once() -> None:
    pool = BurstPool()
    for name in "xyz":
        pool.ask(name, A)
    assert pool.wakes == 1


def test_a_request_alone_is_left_to_the_scorers() -> None:
    pool = BurstPool()
    pool.ask("busy")
    pool.ask("alone", A)
    pool.pass_time(0.1)
    assert pool.where["alone"] != pool.where["busy"]


@pytest.mark.parametrize("prompt", ["", "a" * 255], ids=["none", "shorter than a block"])
def test_who_has_nothing_to_share_goes_at_once(prompt: str) -> None:
    pool = BurstPool()
    pool.ask("x", prompt)
    assert list(pool.decisions) == ["x"]


@pytest.mark.parametrize(("ttl_ms", "waits"), [("0", False), ("100", False), ("101", True), ("soon", True)])
def test_who_is_not_ready_to_wait_for_the_window_goes_at_once(ttl_ms: str, *, waits: bool) -> None:
    pool = BurstPool()
    pool.ask("x", A, headers={TTL: ttl_ms})
    assert list(pool.tickets) == (["x"] if waits else [])


def test_the_rest_of_an_open_window_is_what_counts_for_the_own_budget() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    pool.pass_time(0.07)
    pool.ask("y", A, headers={TTL: "40"})
    assert list(pool.tickets) == ["x", "y"]


def test_nobody_waits_where_there_is_no_choice() -> None:
    pool = BurstPool(endpoints=1)
    pool.ask("x", A)
    assert pool.where == {"x": "vllm-0"}
    pool.members(2)
    pool.ask("y", A, subset=("10.0.0.2",))
    assert pool.where["y"] == "vllm-1"
    pool.members(0)
    pool.ask("z", A)
    assert pool.refusals["z"].reason is DroppedReason.NO_ENDPOINTS


def test_a_window_that_is_full_closes_early() -> None:
    pool = BurstPool(max_batch_size=3)
    for name in "wxyz":
        pool.ask(name, A)
    assert (list(pool.decisions), list(pool.tickets)) == (["w", "x", "y"], ["z"])
    pool.pass_time(0.1)
    assert not pool.tickets


def test_a_window_closes_early_when_its_bodies_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bursts, "MOST_BODY_BYTES", 1000)
    pool = BurstPool(max_batch_size=-1)
    pool.ask("gone", A, body_bytes=900)
    pool.leave("gone")
    pool.ask("x", A, body_bytes=600)
    assert list(pool.tickets) == ["x"]
    pool.ask("y", A, body_bytes=400)
    assert list(pool.decisions) == ["x", "y"]
    pool.ask("z", A, body_bytes=600)
    assert list(pool.tickets) == ["z"]


def test_not_all_of_a_window_are_scheduled_in_one_turn() -> None:
    pool = BurstPool(max_batch_size=100)
    pool.router.wake = lambda: None
    for number in range(100):
        pool.ask(f"{number}", A)
    turns = [(pool.router.work(), len(pool.decisions)) for _ in range(4)]
    assert turns == [(pool.now, 32), (pool.now, 64), (pool.now, 96), (None, 100)]


def test_a_client_that_left_is_never_dispatched() -> None:
    pool = BurstPool(max_batch_size=3)
    pool.router.wake = lambda: None
    for name in "xyz":
        pool.ask(name, A)
    pool.leave("y")
    pool.ask("later", A)
    pool.leave("later")
    pool.pass_time(0.2)
    assert list(pool.decisions) == ["x", "z"]
    assert (pool.ledger.open_count, int(pool.ledger.sent.sum()), len(pool.router)) == (2, 2, 0)


def test_an_answer_that_nobody_takes_gives_its_place_back() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    pool.tickets["x"].is_open = False
    pool.pass_time(0.1)
    assert pool.ledger.open_count == 0


def test_an_endpoint_that_has_gone_is_not_insisted_on() -> None:
    pool = BurstPool(endpoints=3)
    for name in "xyz":
        pool.ask(name, A)
    pool.members(0)
    pool.members(2)
    pool.pass_time(0.1)
    assert set(pool.where.values()) <= {"vllm-0", "vllm-1"}


def test_the_pool_is_gone_when_the_window_closes() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    pool.ask("y", A)
    pool.members(0)
    pool.pass_time(0.1)
    assert [refusal.reason for refusal in pool.refusals.values()] == [DroppedReason.NO_ENDPOINTS] * 2


def test_each_subset_is_placed_within_itself() -> None:
    pool = BurstPool(endpoints=4)
    for number in range(6):
        pool.ask(f"{number}", A, subset=("10.0.0.1", "10.0.0.2") if number % 2 else ("10.0.0.3", "10.0.0.4"))
    pool.pass_time(0.1)
    assert sorted(pool.counts) == [0, 0, 3, 3]
    assert pool.where["1"] in {"vllm-0", "vllm-1"}


def placed_slots(*roles: str) -> tuple[list[set[int]], list[int]]:
    """Where each of two equal requests is placed in a pool with these roles, and the slots of the pool."""
    pool = BurstPool()
    pool.members(len(roles), {number: {"llm-d.ai/role": role} for number, role in enumerate(roles)})
    seen: list[set[int]] = []
    produce = pool.producer.produce

    def watched(cycle: Cycle, candidates: Candidates) -> PrefixMatch:
        seen.append({placement.slot for placement in cycle.request.placements})
        return produce(cycle, candidates)

    pool.producer.produce = watched  # type: ignore[method-assign]
    pool.ask("x", A)
    pool.ask("y", A)
    pool.pass_time(0.1)
    return seen, pool.roster.current.slots.tolist()


def test_with_roles_prompts_go_together_where_they_are_prefilled_and_where_they_are_decoded() -> None:
    [first, second], slots = placed_slots("prefill", "prefill", "decode", "decode")
    assert first == second
    assert len(first & set(slots[:2])) == len(first & set(slots[2:])) == 1


def test_endpoints_that_do_both_are_not_chosen_twice() -> None:
    [first, second], _ = placed_slots(*["prefill-decode"] * 6)
    assert first == second
    assert len(first) == 1


def test_a_fault_of_the_producer_costs_the_placement_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = BurstPool()

    def broken(*_: object) -> object:
        raise KeyError

    pool.ask("x", A)
    pool.ask("y", A)
    monkeypatch.setattr(pool.producer, "place", broken)
    pool.pass_time(0.1)
    monkeypatch.setattr(pool.producer, "chain", broken)
    pool.ask("z", A)
    assert list(pool.decisions) == ["x", "y", "z"]
    assert pool.faults == ["burst placement failed", "burst producer failed"]


def test_a_fault_of_another_plugin_is_an_error_for_its_request_alone() -> None:
    pool = BurstPool(scorer=Broken())
    for name in ("x", "bad", "y"):
        pool.ask(name, A)
    pool.pass_time(0.1)
    assert list(pool.decisions) == ["x", "y"]
    refusal = pool.refusals["bad"]
    assert isinstance(refusal, InternalError)
    assert isinstance(refusal.__cause__, ZeroDivisionError)
    assert pool.ledger.open_count == 2


def test_drain_refuses_who_waits_and_lets_nobody_wait_any_more() -> None:
    pool = BurstPool(max_batch_size=2)
    pool.router.wake = lambda: None
    for name in ("ready", "ready too", "waits"):
        pool.ask(name, A)
    pool.router.drain()
    assert [refusal.reason for refusal in pool.refusals.values()] == [DroppedReason.SHUTTING_DOWN] * 3
    pool.ask("later", A)
    assert list(pool.decisions) == ["later"]
    assert (pool.router.work(), len(pool.router)) == (None, 0)


def test_without_a_producer_nobody_waits() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    pool.router.take_over(())
    pool.ask("y", A)
    pool.turn()
    assert sorted(pool.decisions) == ["x", "y"], "an open window closes"
    assert not pool.router.is_used


def test_the_same_producers_leave_the_window_open() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    pool.router.take_over((pool.producer,))
    pool.turn()
    assert list(pool.tickets) == ["x"]


def test_the_ticket_is_not_given_up_before_the_window_was_worked_on() -> None:
    pool = BurstPool()
    pool.ask("x", A)
    assert pool.tickets["x"].wait_s == pytest.approx(0.1 + bursts.SLACK_S)


def test_several_producers_share_one_window() -> None:
    pool, other = BurstPool(), BurstPool(window_duration_ms=300, max_batch_size=3)
    pool.router.take_over((pool.producer, other.producer))
    pool.ask("x", A)
    pool.pass_time(0.2)
    assert list(pool.tickets) == ["x"]
    pool.ask("y", A)
    pool.ask("z", A)
    assert list(pool.decisions) == ["x", "y", "z"]
