"""A ticket: the place in line of a request that may not go yet."""

from collections.abc import Callable

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal

Answer = Decision | Refusal
BreakOff = Callable[[Refusal], None]
"""ends a request that was dispatched, with an error"""


class Ticket:
    """Answered at most once: granted with a decision, or refused; a withdrawn ticket is never answered."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        """seconds until the ticket is answered at the latest"""
        self.is_open = True
        self._on_answer: Callable[[Answer], None] | None = None

    def on_answer(self, callback: Callable[[Answer], None]) -> None:
        """Sets who is told."""
        self._on_answer = callback

    def withdraw(self) -> None:
        """The client has gone: whoever holds the ticket must not dispatch it."""
        self.is_open = False
        self._on_answer = None

    def answer(self, answer: Answer) -> bool:
        """Answers an open ticket; False when it was withdrawn or answered before."""
        if not self.is_open:
            return False
        self.is_open = False
        if self._on_answer is not None:
            self._on_answer(answer)
        return True


class QueueTicket(Ticket):
    """A place in the queues of flow control; `wait_s` is infinite where nothing limits the wait.

    A ticket that somebody else closed is never granted: its place is given back when it comes to the front, or at
    once when `on_withdraw` leads to `FlowController.withdraw`.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.on_withdraw: Callable[[], None] | None = None
        """called once, when an open ticket is withdrawn"""

    def withdraw(self) -> None:
        """See Ticket."""
        told, self.on_withdraw = self.on_withdraw if self.is_open else None, None
        super().withdraw()
        if told is not None:
            told()
