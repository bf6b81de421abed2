"""`epp up` as a user runs it: it verifies, it shows, and it leaves no process behind."""

import asyncio
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from epp.lab.plan import ADAPTERS
from tests.support.eventually import eventually
from tests.support.kubectl import CommandLine


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


@pytest.mark.parametrize("pickers", [1, 2])
async def test_once_verifies_the_same_against_an_api_server(pickers: int) -> None:
    up = await _start("--once", "--requests", "60", "--kube", "--pickers", str(pickers), "--secure")
    output, _ = await up.communicate()
    text = output.decode()
    assert up.returncode == 0, text
    assert "the objects are in the API server https://127.0.0.1:" in text
    assert "answered 60 of 60; bypassed the picker: 0" in text
    assert "every picked request was served by the pod that the decision named" in text


async def test_several_pickers_without_an_api_server_are_refused() -> None:
    up = await _start("--once", "--pickers", "2")
    output, _ = await up.communicate()
    assert up.returncode == 2
    assert b"several pickers choose their leader in an API server: add --kube" in output


async def test_once_counts_what_bypassed_a_dead_picker() -> None:
    up = await _start("--once", "--requests", "120", "--concurrency", "30", "--kill-picker")
    output, _ = await up.communicate()
    text = output.decode()
    assert up.returncode == 0, text
    bypassed = re.search(r"answered 120 of 120; bypassed the picker: (\d+)", text)
    assert bypassed is not None, text
    assert int(bypassed[1]) > 0


async def test_live_prints_kubectl_lines_that_work_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    up = await _start("--pods", "2", "--port", "0", "--rate", "20", "--kube", "--pickers", "2")
    assert up.stdout is not None
    try:
        told = [(await up.stdout.readline()).decode().strip() for _ in range(7)]
        export, *kubectl_lines, curl = told[3:]
        shell = CommandLine(Path(export.removeprefix("export KUBECONFIG=")), tmp_path)
        get, patch = (shlex.split(line) for line in kubectl_lines)
        listed = await shell.kubectl(*get[1:])
        assert re.search(r"^inferencepool\S*/vllm-llama3.1-8b-instruct ", listed, re.MULTILINE), listed
        assert re.search(r"^pod/vllm-0 ", listed, re.MULTILINE), listed
        assert "patched" in await shell.kubectl(*patch[1:])
        token = await shell.kubectl(*shlex.split(curl.partition("$(kubectl ")[2].partition(")")[0]))
        headers = {"Authorization": f"Bearer {token.strip()}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(curl.split()[-1]) as metrics:
            assert metrics.status == 200
            assert "inference_pool_ready_pods" in await metrics.text()
        assert len(_children(up.pid)) == 5, "pods, API server, two pickers, Envoy"
        children = _children(up.pid)
    finally:
        up.send_signal(signal.SIGINT)
        await up.communicate()
    assert up.returncode == 0
    await eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children), what="children are gone")


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
