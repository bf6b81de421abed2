"""`epp up` as a user runs it: it verifies, it shows, and it leaves no process behind."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from epp.lab.plan import ADAPTERS
from tests.support.eventually import eventually


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "epp", "up", *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("body_mode", ["buffered", "full-duplex"])
async def test_once_verifies_every_request_and_exits_0(body_mode: str) -> None:
    up = await _start("--once", "--requests", "60", "--body-mode", body_mode, "--secure")
    output, _ = await up.communicate()
    text = output.decode()
    assert up.returncode == 0, text
    assert "answered 60 of 60; bypassed the picker: 0" in text
    assert "every picked request was served by the pod that the decision named" in text


async def test_once_counts_what_bypassed_a_dead_picker() -> None:
    up = await _start("--once", "--requests", "120", "--concurrency", "30", "--kill-picker")
    output, _ = await up.communicate()
    text = output.decode()
    assert up.returncode == 0, text
    bypassed = re.search(r"answered 120 of 120; bypassed the picker: (\d+)", text)
    assert bypassed is not None, text
    assert int(bypassed[1]) > 0


async def test_live_prints_a_curl_line_that_works_and_ctrl_c_ends_everything() -> None:
    up = await _start("--pods", "2", "--port", "0", "--rate", "20")
    assert up.stdout is not None
    try:
        line = ""
        while not line.startswith("curl "):
            line = (await up.stdout.readline()).decode()
            assert line, "epp up ended without a curl line"
        url = line.split("POST ", 1)[1].split(" ", 1)[0]
        body = line.split("-d '", 1)[1].rsplit("'", 1)[0]
        async with (
            aiohttp.ClientSession(headers={"content-type": "application/json"}) as session,
            session.post(url, data=body) as response,
        ):
            assert response.status == 200
            assert (await response.json())["model"] == ADAPTERS[0]
        children = _children(up.pid)
        assert len(children) == 3, "pods, picker, Envoy"
    finally:
        up.send_signal(signal.SIGINT)
        await up.communicate()
    assert up.returncode == 0
    await eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children), what="children are gone")
