"""Who holds which beginning: chained pieces of prompts as a tree, in which what is held by the same ones is one run.

A request whose pieces nobody shares costs one step, however many pieces it has; a shared one costs a step for each
run that it passes. Runs part where prompts do, and are not joined again while they are held.
"""

from collections.abc import Iterator


class Run:
    """Pieces that the same requests hold, one after the other."""

    def __init__(self, above: "Run | None", begin: int, pieces: list[int], holders: int) -> None:
        self.above = above
        self.begin = begin
        """how many pieces come before"""
        self.pieces = pieces
        self.holders = holders
        self.below: dict[int, Run] = {}
        """by their first piece"""


class PieceTree:
    """`take`, and `give_back` what it returned."""

    def __init__(self) -> None:
        self._root = Run(None, 0, [], 0)

    def __bool__(self) -> bool:
        return bool(self._root.below)

    @property
    def piece_count(self) -> int:
        """Distinct pieces that are held."""
        return sum(len(run.pieces) for run in _runs(self._root))

    def shared(self, pieces: list[int]) -> int:
        """How many of the first pieces somebody holds."""
        run, at = self._root, 0
        while at < len(pieces):
            found = run.below.get(pieces[at])
            if found is None:
                break
            common = _common(found.pieces, pieces, at)
            at += common
            if common < len(found.pieces):
                break
            run = found
        return at

    def take(self, pieces: list[int]) -> tuple[Run, int]:
        """One more holds these: the run that they end with, and how many of them are held by others, too."""
        run, at = self._root, 0
        while at < len(pieces):
            found = run.below.get(pieces[at])
            if found is None:
                made = Run(run, at, pieces[at:], 1)
                run.below[pieces[at]] = made
                return made, at
            common = _common(found.pieces, pieces, at)
            at += common
            run = found if common == len(found.pieces) else _parted(run, found, common)
            run.holders += 1
        return run, at

    def give_back(self, run: Run) -> int:
        """One less holds what ends with this run: how many of its pieces others hold still."""
        left = run.begin + len(run.pieces)
        step: Run = run
        while step.above is not None:
            step.holders -= 1
            if not step.holders:
                del step.above.below[step.pieces[0]]
                left = step.begin
            step = step.above
        return left


def _common(run: list[int], pieces: list[int], at: int) -> int:
    """How many pieces of a run are those from `at` on; the first one is."""
    most = min(len(run), len(pieces) - at)
    if run[:most] == pieces[at : at + most]:
        return most
    number = 1
    while run[number] == pieces[at + number]:
        number += 1
    return number


def _parted(above: Run, run: Run, number: int) -> Run:
    """The first `number` pieces of the run as one of their own, between `above` and what remains of it."""
    upper = Run(above, run.begin, run.pieces[:number], run.holders)
    above.below[run.pieces[0]] = upper
    run.above, run.begin, run.pieces = upper, run.begin + number, run.pieces[number:]
    upper.below[run.pieces[0]] = run
    return upper


def _runs(root: Run) -> Iterator[Run]:
    waiting = [root]
    while waiting:
        run = waiting.pop()
        yield run
        waiting += run.below.values()
