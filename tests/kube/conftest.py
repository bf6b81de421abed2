"""A server with the real schemas, and the command line of an administrator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.kube_schemas import built_in_schemas
from tests.support.kubectl import CommandLine


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    """As a real server: built-in kinds are checked."""
    async with KubeApi(KubeApiSettings(seed=1), schemas=built_in_schemas()) as server:
        yield server


@pytest.fixture
def shell(api: KubeApi, tmp_path: Path) -> CommandLine:
    """kubectl and helm that may do everything."""
    return CommandLine(api.kubeconfig(tmp_path / "config"), tmp_path)
