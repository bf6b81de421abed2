"""`epp fake-vllm` as a user runs it."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner

from epp.cli.fake_vllm import command

RUN = "from epp.cli.fake_vllm import command; command()"


def test_help_has_examples() -> None:
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    assert "epp fake-vllm --host 127.0.0.11 --host 127.0.0.12" in shown.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed", "0"], "'--speed': must be above 0"),
        (["--port", "99999"], "'--port': 99999 is not a TCP port"),
        (["--port", "http"], "'--port'"),
        (["--lora-modules", "food"], "'food' is neither name=path nor JSON"),
        (["--lora-modules", '{"name": "food"}'], "missing required field `path`"),
        (["--lora-modules", "a=b", "--lora-modules", "a=c"], "'--lora-modules': the name 'a' is served twice"),
        (["--no-enable-lora", "--lora-modules", "a=b"], "LoRA is off"),
        (["--max-loras", "4", "--max-cpu-loras", "2"], "'--max-cpu-loras': 2 is below --max-loras (4)"),
        (["--max-model-len", "99999999"], "'--max-model-len': 99999999 tokens do not fit"),
        (["--step-base-ms", "-1"], "'--step-base-ms': must not be negative"),
        (["--answer-tokens", "many"], "'many' is not SHORTEST:LONGEST"),
        (["--host", "127.0.0.1", "--host", "127.0.0.1"], "an address is given twice"),
        (["--gpu-blocks", "5"], "No such option"),
    ],
)
def test_bad_values_are_named(arguments: list[str], message: str) -> None:
    refused = CliRunner().invoke(command, arguments)
    assert refused.exit_code == 2
    assert message in refused.output


async def test_pods_start_serve_drain_and_end(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    arguments = ["--host", "127.0.0.1", "--host", "127.0.0.2", "--port", "0", "--name", "p", "--speed", "10"]
    arguments += ["--lora-modules", '[{"name": "food", "path": "repo/food"}]', "--ready-file", str(ready)]
    process = await _run(*arguments)
    try:
        assert process.stdout is not None
        lines = [(await process.stdout.readline()).decode() for _ in range(2)]
        assert lines[0].startswith("p-0 serves meta-llama/Llama-3.1-8B-Instruct on http://127.0.0.1:")
        port = int(lines[0].rsplit(":", 1)[1])
        other_port = int(lines[1].rsplit(":", 1)[1])
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            body = {"model": "food", "prompt": "x", "max_tokens": 80, "ignore_eos": True, "stream": True}
            async with client.post("/v1/completions", json=body) as response:
                await response.content.readuntil(b"\n\n")
                written = msgspec.json.decode(await asyncio.to_thread(ready.read_bytes))
                process.send_signal(signal.SIGTERM)
                assert (await response.read()).endswith(b"data: [DONE]\n\n"), "drained, not cut"
        assert await process.wait() == 0
    finally:
        await _end(process)
    assert written == {
        "pods": [
            {"name": "p-0", "host": "127.0.0.1", "port": port},
            {"name": "p-1", "host": "127.0.0.2", "port": other_port},
        ]
    }


async def test_a_taken_address_ends_the_process_with_its_name() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        process = await _run("--port", str(port))
        try:
            _, errors = await process.communicate()
        finally:
            await _end(process)
    assert process.returncode == 1
    assert errors.decode() == f"Error: pod fake-vllm-0 cannot listen on 127.0.0.1:{port}: Address already in use\n"


async def _run(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, *arguments, stdout=PIPE, stderr=PIPE)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
