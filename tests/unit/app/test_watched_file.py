"""A file that is followed from before it is there."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from epp.app.watched_file import WatchedFile
from epp.core.domain.errors import InvalidInput
from tests.support.recorded_log import RecordedLog
from tests.support.virtual_clock import VirtualClock


class Watched:
    """A file of one number and what was taken over from it."""

    def __init__(self, path: Path, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.path = path
        self.taken: list[int] = []
        self.log = RecordedLog()
        self.watch: WatchedFile[int] = WatchedFile(
            path, None, load=self.load, take_over=self.take, logger=self.log, sleep=sleep
        )

    def load(self, text: bytes) -> int:
        if not text.strip().isdigit():
            raise InvalidInput(str(self.path), "is no number", line=1)
        return int(text)

    def take(self, number: int) -> int:
        self.taken.append(number)
        return number

    def logged(self) -> list[str]:
        return [f"{line['event']}: {line['problem']}" for line in self.log.lines]

    def look(self) -> None:
        for _ in range(2):  # a change counts when two looks agree
            self.watch.look()


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_first_look_takes_the_file_as_it_is(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "number", "1"))
    watched.watch.look()
    assert (watched.taken, watched.watch.in_force, watched.watch.problem) == ([1], 1, "")


def test_a_file_that_comes_later(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "config" / "number")
    for _ in range(3):
        watched.look()
    waiting = f"{watched.path} is not there yet"
    assert watched.watch.problem == waiting
    assert watched.logged() == [f"no configuration yet; waiting for a good one: {waiting}"], "once"
    watched.path.parent.mkdir()
    watched.path.write_text("2")
    watched.look()
    assert (watched.taken, watched.watch.problem) == ([2], "")


def test_a_bad_first_file_is_waited_out(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "number", "one"))
    watched.look()
    assert watched.logged() == [f"no configuration yet; waiting for a good one: {watched.path}:1: is no number"]
    watched.path.write_text("1")
    watched.look()
    assert watched.taken == [1]


def test_the_former_stays_in_force(tmp_path: Path) -> None:
    watched = Watched(written(tmp_path / "number", "1"))
    watched.look()
    watched.path.write_text("one")
    watched.look()
    watched.path.unlink()
    watched.look()
    assert (watched.watch.in_force, watched.taken) == (1, [1])
    assert watched.logged() == [
        f"configuration not taken over; the former one stays in force: {watched.path}:1: is no number",
        f"configuration not taken over; the former one stays in force: {watched.path} is gone",
    ]
    watched.path.write_text("1")
    watched.look()
    assert (watched.watch.problem, watched.taken) == ("", [1]), "as it was before"


async def test_a_config_map_that_is_swapped_counts_within_half_a_second(tmp_path: Path) -> None:
    """As kubelet does: `..data` is a link to a directory, and is replaced by a rename."""
    for number in ("1", "2"):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "number").write_text(number)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "number").symlink_to("..data/number")
    clock = VirtualClock()
    watched = Watched(tmp_path / "number", sleep=clock.sleep)
    running = asyncio.ensure_future(watched.watch.run())
    await clock.advance(0.1)
    assert watched.taken == [1]

    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    await clock.advance(0.5)
    assert watched.taken == [1, 2]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
