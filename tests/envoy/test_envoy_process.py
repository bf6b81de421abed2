"""EnvoyProcess: ready means ready, a bad start says why, and nothing is left behind."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import yaml

import epp
from epp.edge.gateway.eds import EdsFile
from epp.lab.envoy_config import EnvoyOptions, SocketAddress, envoy_config
from epp.lab.envoy_parts import Config, cluster
from epp.lab.envoy_process import EnvoyProcess, EnvoyStartError, find_envoy
from tests.support.envoy_stack import EnvoyStack, checked, running_stack

ANY_PORT = SocketAddress("127.0.0.1", 0)


def config_for(directory: Path, admin: SocketAddress = ANY_PORT, probes: SocketAddress | None = None) -> Config:
    eds = EdsFile(directory / "eds.yaml")
    eds.write([])
    return envoy_config(
        EnvoyOptions(listener=ANY_PORT, admin=admin, probes=probes or "off", eds_path=str(eds.path)),
    )


def is_running(pid: int) -> bool:
    """A zombie counts as ended: whoever inherited it has not collected it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def directory_of(pid: int) -> Path:
    """The private directory of a running Envoy, from its --config-path."""
    return Path(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[2].decode()).parent


def mode_of(directory: Path) -> int:
    """Its permissions; 0 if it does not exist."""
    return directory.stat().st_mode & 0o777 if directory.exists() else 0


async def test_it_is_ready_on_ports_of_its_own_and_gone_after_stop(tmp_path: Path) -> None:
    envoy = EnvoyProcess(config_for(tmp_path), concurrency=1)
    async with envoy:
        assert envoy.listener_port != 0
        assert envoy.admin_port not in {0, envoy.listener_port}
        assert envoy.probes_port is None
        assert is_running(envoy.pid)
        assert (await envoy.stats("^server.live$")) == {"server.live": 1}
        assert {found.name for found in await envoy.clusters()} == {"pool", "ext_proc"}
        directory = directory_of(envoy.pid)
        assert mode_of(directory) & 0o077 == 0, "nobody else may read the configuration"
    assert not is_running(envoy.pid)
    assert mode_of(directory) == 0
    await envoy.stop()


async def test_probes_and_metrics_are_served_on_their_own_port(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = SocketAddress("127.0.0.1", free.getsockname()[1])
    async with (
        EnvoyProcess(config_for(tmp_path, admin, probes=ANY_PORT)) as envoy,
        aiohttp.ClientSession(f"http://127.0.0.1:{envoy.probes_port}") as session,
    ):
        async with session.get("/ready") as ready:
            assert (ready.status, await ready.text()) == (200, "LIVE\n")
        async with session.get("/stats/prometheus") as metrics:
            assert "envoy_server_live" in await metrics.text()
        async with session.post("/quitquitquit") as refused:
            assert refused.status == 404


async def test_a_mistake_in_the_configuration_is_reported_with_envoys_words(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    cluster(config, "pool")["no_such_field"] = 1
    envoy = EnvoyProcess(config)
    with pytest.raises(EnvoyStartError, match=r"(?s)ended with code 1.*no such field|no_such_field"):
        await envoy.start()
    assert not is_running(envoy.pid)


async def test_a_missing_endpoint_file_is_reported_by_name(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    (tmp_path / "eds.yaml").unlink()
    with pytest.raises(EnvoyStartError, match=r"eds\.yaml' does not exist"):
        await EnvoyProcess(config).start()


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    envoy = EnvoyProcess(config_for(tmp_path), start_timeout_s=0.001)
    with pytest.raises(EnvoyStartError, match=r"not ready after 0\.001 s"):
        await envoy.start()
    assert not is_running(envoy.pid)


PARENT = """
import asyncio, json, sys
from epp.lab.envoy_process import EnvoyProcess

async def main():
    envoy = EnvoyProcess(json.loads(sys.argv[1]))
    await envoy.start()
    print(envoy.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, json.dumps(config_for(tmp_path))),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(epp.__file__).parent.parent), "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.kill()
    await parent.wait()
    while True:
        if not is_running(pid):
            break
        await asyncio.sleep(0.01)


@asynccontextmanager
async def stack_with_a_running_answer(directory: Path) -> AsyncIterator[tuple[EnvoyStack, aiohttp.ClientResponse]]:
    async with running_stack(directory) as stack, checked(stack), stack.session.post(stack.url + "/stream") as response:
        assert await response.content.readline() == b"data: first\n"
        yield stack, response


async def test_drain_lets_answers_finish_and_takes_no_new_connections(tmp_path: Path) -> None:
    async with stack_with_a_running_answer(tmp_path) as (stack, response):
        draining = asyncio.create_task(stack.envoy.drain())
        await until_refused(stack.envoy.listener_port)
        assert not draining.done()
        stack.backends[0].release.set()
        assert (await response.read()).endswith(b"data: last\n\n")
        assert await draining


async def until_refused(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it was waiting to be accepted when the listener closed


async def test_drain_says_when_answers_still_run(tmp_path: Path) -> None:
    async with stack_with_a_running_answer(tmp_path) as (stack, response):
        assert not await stack.envoy.drain(timeout_s=0.05)
        stack.backends[0].release.set()
        await response.read()


VARIANTS = {
    "canonical": EnvoyOptions(),
    "full-duplex": EnvoyOptions(body_mode="full-duplex"),
    "fail-close": EnvoyOptions(failure_mode="close"),
    "full-duplex fail-close": EnvoyOptions(body_mode="full-duplex", failure_mode="close"),
    "host names": EnvoyOptions(pickers=(SocketAddress("epp", 9002), SocketAddress("127.0.0.1", 9003))),
    "replicas": EnvoyOptions(
        pickers=(SocketAddress("127.0.0.1", 9002), SocketAddress("127.0.0.2", 9002)), picker_health_ports=(9003, 9003)
    ),
    "h2c pods": EnvoyOptions(app_protocol="kubernetes.io/h2c"),
    "small bodies": EnvoyOptions(max_body_bytes=1000),
    "huge bodies": EnvoyOptions(max_body_bytes=2**31 - 1),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_envoy_accepts_every_variant(tmp_path: Path, name: str) -> None:
    eds = EdsFile(tmp_path / "eds.yaml")
    eds.write([("10.0.0.1", 8000), ("fd00::1", 8000)])
    config = envoy_config(msgspec.structs.replace(VARIANTS[name], eds_path=str(eds.path)))
    (tmp_path / "envoy.yaml").write_text(yaml.safe_dump(config))
    checked_by_envoy = subprocess.run(
        [find_envoy(), "--mode", "validate", "--config-path", tmp_path / "envoy.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked_by_envoy.returncode == 0, checked_by_envoy.stderr
    assert "eprecated" not in checked_by_envoy.stderr
