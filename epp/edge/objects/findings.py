"""What is wrong or odd with the objects now, and what of it has been said.

A problem makes something unusable; a notice is about something that works in another way than its author may expect.
Each is said once when it comes up, and again only after it had gone.
"""

from collections.abc import Callable, Sequence

import msgspec

from epp.core.domain.errors import InvalidInput


class Notice(msgspec.Struct, frozen=True):
    """Something odd; notices with the same `subject` are said once, wherever they come up."""

    source: str
    text: str
    line: int | None = None
    subject: str = ""

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.text}"


class Findings:
    """Problems and notices by scope; a scope is whatever is examined as a whole, such as a file."""

    def __init__(self, on_problem: Callable[[InvalidInput], None], on_notice: Callable[[Notice], None]) -> None:
        self._on_problem = on_problem
        self._on_notice = on_notice
        self._problems: dict[str, Sequence[InvalidInput]] = {}
        self._notices: dict[str, Sequence[Notice]] = {}

    @property
    def problems(self) -> tuple[InvalidInput, ...]:
        """Everything that is wrong now."""
        return tuple(problem for scope in self._problems.values() for problem in scope)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Everything that is odd now."""
        return tuple(notice for scope in self._notices.values() for notice in scope)

    def replace(self, scope: str, problems: Sequence[InvalidInput] = (), notices: Sequence[Notice] = ()) -> None:
        """What is known of `scope` from now on; says what is new."""
        said = {str(problem) for problem in self.problems}
        mentioned = {notice.subject or str(notice) for notice in self.notices}
        self._problems[scope] = problems
        self._notices[scope] = notices
        for problem in problems:
            if str(problem) not in said:
                said.add(str(problem))
                self._on_problem(problem)
        for notice in notices:
            subject = notice.subject or str(notice)
            if subject not in mentioned:
                mentioned.add(subject)
                self._on_notice(notice)

    def holds(self, scope: str) -> bool:
        """Whether anything is known of `scope`."""
        return bool(self._problems.get(scope) or self._notices.get(scope))

    def forget(self, scope: str) -> None:
        """The scope is no more."""
        self._problems.pop(scope, None)
        self._notices.pop(scope, None)
