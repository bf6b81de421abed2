"""The budget of buffered bytes: who holds too much waits, who leaves lets others go on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.extproc.body_budget import BodyBudget


def test_full_is_more_than_the_limit() -> None:
    budget = BodyBudget(100)
    budget.change(100)
    assert not budget.is_full
    budget.change(1)
    assert budget.is_full


def test_room_wakes_everybody_once() -> None:
    budget, woken = BodyBudget(100), list[str]()
    budget.change(150)
    budget.wait("a", lambda: woken.append("a"))
    budget.wait("b", lambda: woken.append("b"))
    budget.change(-50)
    assert woken == ["a", "b"]
    budget.change(-50)
    assert woken == ["a", "b"]


def test_less_is_not_enough_while_it_is_still_full() -> None:
    budget, woken = BodyBudget(100), list[str]()
    budget.change(150)
    budget.wait("a", lambda: woken.append("a"))
    budget.change(-49)
    assert woken == []
    budget.change(40)
    budget.change(-41)
    assert woken == ["a"]


def test_more_wakes_nobody() -> None:
    budget, woken = BodyBudget(100), list[str]()
    budget.wait("a", lambda: woken.append("a"))
    budget.change(1)
    assert woken == []


def test_who_leaves_is_not_woken() -> None:
    budget, woken = BodyBudget(100), list[str]()
    budget.change(150)
    budget.wait("a", lambda: woken.append("a"))
    budget.leave("a")
    budget.leave("stranger")
    budget.change(-150)
    assert woken == []


def test_who_is_woken_may_wait_again() -> None:
    budget, woken = BodyBudget(100), list[int]()

    def again() -> None:
        woken.append(budget.held_bytes)
        if len(woken) == 1:
            budget.wait("a", again)

    budget.change(150)
    budget.wait("a", again)
    budget.change(-50)
    assert woken == [100]
    budget.change(-50)
    assert woken == [100, 50]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["take", "give", "leave"]), st.integers(0, 3), st.integers(1, 60)), max_size=40)
)
def test_nobody_waits_while_there_is_room(steps: list[tuple[str, int, int]]) -> None:
    """Streams that take what they can and wait while it is full: in the end nothing is held and nobody sleeps."""
    budget, held, asleep = BodyBudget(100), [0] * 4, set[int]()

    def take(who: int, size: int) -> None:
        held[who] += size
        budget.change(size)
        if budget.is_full:
            asleep.add(who)
            budget.wait(who, lambda: asleep.discard(who))

    def give(who: int, size: int) -> None:
        held[who] -= size
        budget.change(-size)

    for step, who, size in steps:
        if step == "take" and who not in asleep:
            take(who, size)
        elif step == "give" and held[who]:
            give(who, min(size, held[who]))
        elif step == "leave":
            budget.leave(who)
            asleep.discard(who)
            give(who, held[who])
        assert budget.held_bytes == sum(held)
        assert budget.is_full or not asleep
