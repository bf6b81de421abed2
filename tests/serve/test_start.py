"""`epp serve` that cannot start: it ends within seconds, with 1, and with a message instead of a traceback."""

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.served_picker import FREE_PORTS

WITHIN_S = 10.0
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: max-score-picker
  parameters: {maxNumOfEndpoints: none}
"""


async def failed(directory: Path, *flags: str) -> str:
    """What `epp serve` with these flags says on stderr before it gives up."""
    (directory / "objects").mkdir()
    words = ("serve", f"--objects={directory / 'objects'}", *FREE_PORTS, *flags)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "epp", *words, stdout=PIPE, stderr=PIPE)
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, stdout) == (1, b"")
    assert b"Traceback" not in stderr
    assert b"Exception" not in stderr
    message = stderr.decode()
    return message[message.index("epp serve: ") :].removeprefix("epp serve: ").rstrip()


async def test_a_mistake_in_the_configuration_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "picker.yaml"
    path.write_text(CONFIG)
    message = await failed(tmp_path, f"--config-file={path}")
    assert message.startswith(f"{path}:6: plugins[1].parameters.maxNumOfEndpoints: ")


@pytest.mark.parametrize("flag", ["grpc-port", "metrics-port"])
async def test_a_port_in_use_is_named_with_its_flag(tmp_path: Path, flag: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        message = await failed(tmp_path, f"--{flag}={port}")
    assert message.startswith(f"--{flag}: cannot listen on 127.0.0.1 port {port}: address already in use; another")


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        (lambda folder: f"--envoy-eds={folder}/no/eds.json", "--envoy-eds: cannot write Envoy's endpoint file"),
        (lambda folder: f"--ready-file={folder}/no/ready.json", "/no/ready.json: the ready file cannot be written"),
        (lambda folder: f"--cert-path={folder}/no", "/no/tls.key: cannot be read: No such file or directory"),
        (lambda folder: f"--metrics-token-file={folder}/no", "/no: --metrics-token-file: cannot be read"),
    ],
    ids=["envoy-eds", "ready-file", "cert-path", "metrics-token-file"],
)
async def test_what_cannot_be_had_is_named(tmp_path: Path, flag: Callable[[Path], str], says: str) -> None:
    assert says in (await failed(tmp_path, flag(tmp_path))).partition("\n")[0]
