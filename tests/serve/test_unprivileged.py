"""The picker as the manifests run it: a read-only root file system, no capabilities, no new privileges."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from epp.app.bound_to_parent import bound_to_parent
from tests.support.free_ports import free_port
from tests.support.object_yaml import documents, pod_yaml, pool_yaml

HOST = "127.0.0.1"
# A mount namespace of its own, in which everything is read-only; the pipe to this test is all that can be written to.
READ_ONLY = """
for point in $(cut -d' ' -f2 /proc/self/mounts); do mount -o remount,ro,bind "$point" 2>/dev/null || true; done
! touch "$1/written" 2>/dev/null || { echo "the file system is not read-only" >&2; exit 99; }
shift
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""
CAN = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv")


@pytest.mark.skipif(not CAN, reason="needs root to make a mount namespace")
async def test_it_writes_nothing_and_needs_no_right(tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    objects.mkdir()
    (objects / "all.yaml").write_text(documents(pool_yaml(), pod_yaml("a", "127.0.0.2")))
    ports = [free_port() for _ in range(3)]
    flags = dict(zip(("--grpc-port", "--grpc-health-port", "--metrics-port"), ports, strict=True))
    picker = [sys.executable, "-m", "epp", "serve", f"--objects={objects}", f"--bind-address={HOST}"]
    picker += ["--secure-serving", "--drain-timeout=0s", *(f"{name}={port}" for name, port in flags.items())]
    unshare = shutil.which("unshare") or ""
    command = [unshare, "--mount", "--propagation=private", "sh", "-c", READ_ONLY, "sh", str(tmp_path), *picker]
    process = await asyncio.create_subprocess_exec(
        *bound_to_parent(command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        async with asyncio.timeout(30.0):
            while not (lines and '"serving"' in lines[-1]):
                lines.append((await process.stdout.readline()).decode())
                assert lines[-1], "".join(lines)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{HOST}:{ports[2]}/readyz") as response,
        ):
            assert response.status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = await process.communicate()
    assert process.returncode == 0, rest.decode()
    assert "Traceback" not in rest.decode()
    assert not (tmp_path / "written").exists()
