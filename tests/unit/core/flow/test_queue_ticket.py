"""A ticket of the queues tells once that it was withdrawn."""

from epp.core.domain.errors import ServiceUnavailable
from epp.core.flow.ticket import QueueTicket


def test_withdrawing_tells_once() -> None:
    told: list[bool] = []
    ticket = QueueTicket(1.0)
    ticket.on_withdraw = lambda: told.append(ticket.is_open)
    ticket.withdraw()
    ticket.withdraw()
    assert told == [False]


def test_an_answered_ticket_is_not_withdrawn() -> None:
    told: list[bool] = []
    ticket = QueueTicket(1.0)
    ticket.on_withdraw = lambda: told.append(True)
    assert ticket.answer(ServiceUnavailable("late"))
    ticket.withdraw()
    assert told == []


def test_nobody_needs_to_be_told() -> None:
    ticket = QueueTicket(1.0)
    ticket.withdraw()
    assert not ticket.is_open
