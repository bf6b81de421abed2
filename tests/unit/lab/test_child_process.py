"""Child processes: ready means ready, a bad start carries the log, and nothing is left behind.

The children here are a stand-in package `epp` in the working directory, which `python -m epp` prefers.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
import pytest

from epp.lab.child_process import LOG_TAIL_LINES, ChildError, ChildProcess
from tests.support.eventually import eventually

STAND_IN = """\
import os, signal, sys, time

def ready():
    path = sys.argv[sys.argv.index("--ready-file") + 1]
    with open(path + ".partial", "w") as file:
        file.write('{"pid": %d}' % os.getpid())
    os.rename(path + ".partial", path)

behaviour = sys.argv[1]
if behaviour == "talk":
    for number in range(30):
        print("line", number, flush=True)
elif behaviour == "show":
    print(os.environ["POD_NAME"], "HOME" in os.environ, flush=True)
    ready()
elif behaviour == "fail":
    sys.exit("the disk is full")
else:
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready()
time.sleep(60)
"""
PARENT = """\
import asyncio, sys
from pathlib import Path
from epp.lab.child_process import ChildProcess
from epp.lab.stack import ReadyPods

async def main():
    child = ChildProcess("pods", ["fake-vllm", "--port", "0"], Path(sys.argv[1]))
    await child.start(ReadyPods)
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class Ready(msgspec.Struct, frozen=True):
    pid: int


def is_running(pid: int) -> bool:
    """A zombie counts as ended: whoever inherited it has not collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the stand-in."""
    (tmp_path / "epp").mkdir()
    (tmp_path / "epp" / "__init__.py").touch()
    (tmp_path / "epp" / "__main__.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # set by `make test-compiled`; the folder must come first
    return tmp_path


async def test_it_starts_says_so_and_stops(folder: Path) -> None:
    child = ChildProcess("one", ["serve"], folder)
    await child.stop()
    ready = await child.start(Ready)
    assert ready.pid == child.pid, "the process that got ready is the one that signals reach"
    assert is_running(child.pid)
    await child.stop()
    assert child.returncode == -signal.SIGTERM
    assert not is_running(child.pid)
    await child.stop()
    await child.kill()


async def test_another_module_is_started_the_same_way(folder: Path) -> None:
    (folder / "epp").rename(folder / "other")
    child = ChildProcess("one", ["serve"], folder, module="other")
    assert (await child.start(Ready)).pid == child.pid
    await child.stop()


async def test_a_second_start_waits_for_the_new_process(folder: Path) -> None:
    child = ChildProcess("one", ["serve"], folder)
    first = await child.start(Ready)
    await child.kill()
    assert child.returncode == -signal.SIGKILL
    second = await child.start(Ready)
    assert second.pid == child.pid != first.pid
    await child.stop()


async def test_it_has_our_environment_and_what_it_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    child = ChildProcess("one", ["show"], folder, environment={"POD_NAME": "one-of-two"})
    await child.start(Ready)
    assert child.log_tail() == "one-of-two True"
    await child.stop()


async def test_one_that_ends_is_an_error_with_its_log(folder: Path) -> None:
    with pytest.raises(ChildError, match=r"^one ended with exit code 1:\nthe disk is full$"):
        await ChildProcess("one", ["fail"], folder).start(Ready)


async def test_one_that_is_never_ready_is_ended_and_its_log_is_shown(folder: Path) -> None:
    child = ChildProcess("one", ["talk"], folder, start_timeout_s=2.0)
    starting = asyncio.ensure_future(child.start(Ready))
    await eventually(lambda: "line 29" in child.log_tail(), what="it has talked")
    with pytest.raises(ChildError, match=r"^one was not ready after 2 s:\nline 10\n") as raised:
        await starting
    assert str(raised.value).endswith("\nline 29")
    assert len(child.log_tail().splitlines()) == LOG_TAIL_LINES
    assert not is_running(child.pid)


async def test_one_that_ignores_sigterm_is_killed(folder: Path) -> None:
    child = ChildProcess("one", ["stubborn"], folder)
    await child.start(Ready)
    await child.stop(grace_s=0.1)
    assert child.returncode == -signal.SIGKILL


def test_before_the_start_there_is_nothing(tmp_path: Path) -> None:
    child = ChildProcess("one", [], tmp_path)
    assert (child.returncode, child.log_tail()) == (None, "")
    with pytest.raises(ChildError, match="one has not been started"):
        _ = child.pid


async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """However the parent dies, and whatever it could still do."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(tmp_path), stdout=PIPE)
    try:
        assert parent.stdout is not None
        child = int(await asyncio.wait_for(parent.stdout.readline(), 30.0))
        assert is_running(child)
    finally:
        parent.kill()
        await parent.wait()
    try:
        await eventually(lambda: not is_running(child), what="the child has gone too")
    finally:
        if is_running(child):
            os.kill(child, signal.SIGKILL)
