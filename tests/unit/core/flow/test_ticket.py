"""A ticket is answered at most once, and never after it was withdrawn."""

from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.errors import ServiceUnavailable
from epp.core.flow.ticket import Answer, Ticket
from tests.support.playbook import decision_for

GRANTED = decision_for("10.0.0.1:8000")
REFUSED = ServiceUnavailable("too late")


def test_an_answer_reaches_who_waits_for_it() -> None:
    told: list[Answer] = []
    ticket = Ticket(5.0)
    ticket.on_answer(told.append)
    assert ticket.is_open
    assert ticket.answer(GRANTED)
    assert told == [GRANTED]
    assert not ticket.is_open


def test_whoever_answers_first_wins() -> None:
    told: list[Answer] = []
    ticket = Ticket(5.0)
    ticket.on_answer(told.append)
    assert ticket.answer(REFUSED)
    assert not ticket.answer(GRANTED)
    assert told == [REFUSED]


def test_a_withdrawn_ticket_says_so_and_tells_nobody() -> None:
    told: list[Answer] = []
    ticket = Ticket(5.0)
    ticket.on_answer(told.append)
    ticket.withdraw()
    assert not ticket.is_open
    assert not ticket.answer(GRANTED), "the holder must give the place back"
    assert told == []


def test_it_is_closed_before_the_answer_is_told() -> None:
    """What happens on an answer may look at the ticket, or answer again by mistake."""
    ticket = Ticket(5.0)
    again: list[bool] = []
    ticket.on_answer(lambda answer: again.append(ticket.answer(answer)))
    assert ticket.answer(GRANTED)
    assert again == [False]


def test_withdrawing_after_the_answer_changes_nothing() -> None:
    ticket = Ticket(5.0)
    assert ticket.answer(GRANTED)
    ticket.withdraw()
    assert not ticket.is_open


@given(st.lists(st.sampled_from(["grant", "refuse", "withdraw"]), max_size=6))
def test_any_order(steps: list[str]) -> None:
    told: list[Answer] = []
    ticket = Ticket(1.0)
    ticket.on_answer(told.append)
    taken = [ticket.answer(GRANTED if step == "grant" else REFUSED) for step in steps if _acts(ticket, step)]
    assert sum(taken) == len(told) <= 1
    if steps:
        assert ticket.is_open is False
        assert bool(told) == (steps[0] != "withdraw")


def _acts(ticket: Ticket, step: str) -> bool:
    if step == "withdraw":
        ticket.withdraw()
    return step != "withdraw"
