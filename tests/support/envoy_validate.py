"""Asks the real Envoy whether it would take a configuration."""

import subprocess
from pathlib import Path

from epp.edge.gateway.eds import EdsFile
from epp.lab.envoy_process import find_envoy

ENDPOINTS = "/etc/endpoints"
"""where the configurations expect the endpoint file; in tests it is elsewhere"""


def validated(config: str, directory: Path, eds_name: str = "eds.yaml") -> str:
    """What `envoy --mode validate` says last: `... OK`, or the reason why not."""
    endpoints = directory / "endpoints"
    endpoints.mkdir(exist_ok=True)
    EdsFile(endpoints / eds_name).write((("127.0.0.1", 8000),))
    path = directory / "envoy.yaml"
    path.write_text(config.replace(ENDPOINTS, str(endpoints)))
    words = [str(find_envoy()), "--mode", "validate", "--config-path", str(path), "--log-level", "error"]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    lines = (checked.stdout + checked.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {checked.returncode}"
