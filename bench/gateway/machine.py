"""What the figures were measured on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.gateway.findings import Machine
from epp.app.compiled import is_compiled
from epp.lab.envoy_process import find_envoy


def this_machine() -> Machine:
    """Asks the kernel and Envoy; raises EnvoyNotFoundError."""
    return Machine(
        cpu=cpu_model(Path("/proc/cpuinfo").read_text()),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        is_compiled=is_compiled(),
        envoy=_envoy_version(),
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
    )


def cpu_model(cpuinfo: str) -> str:
    """Name of the first processor in the text of /proc/cpuinfo; its architecture where there is none, as on ARM."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _envoy_version() -> str:
    shown = subprocess.run([find_envoy(), "--version"], capture_output=True, text=True, check=True, timeout=20)
    return version_in(shown.stdout)


def version_in(shown: str) -> str:
    """What stands between the commit and the state of the tree in `PATH  version: COMMIT/1.40.0/Clean/RELEASE/TLS`."""
    _, _, version = shown.strip().partition("version: ")
    parts = version.split("/")
    return parts[1] if len(parts) > 1 else shown.strip()
