"""The objects of a local stack in an API server: `epp kube-api` as a child, filled with the manifests that we ship."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from epp.edge.objects.kubernetes.access import AccessSettings, find_access
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.lab.api_writer import ApiWriter
from epp.lab.child_process import ChildProcess
from epp.lab.kube_api.kubeconfig import write_kubeconfig
from epp.lab.kube_api.process import ReadyKubeApi
from epp.lab.plan import POOL_NAME
from epp.lab.pool_files import NAMESPACE, Manifest
from epp.lab.shipped_files import shipped_folder

CRDS = "crds/manifests.yaml"
PICKER_ACCOUNT = "endpoint-picker"
READER_ACCOUNT = "endpoint-picker-metrics-reader"
READER_RIGHTS = ("metrics-reader.yaml", "debug-reader.yaml")
ELECTION_RIGHTS = "leader-election.yaml"
TOKEN_S = 30 * 24 * 3600
"""in a pod the kubelet renews tokens, here nobody does"""


class ApiServerHome:
    """ObjectHome: an API server in memory, whose objects outlive the process in a file.

    Pickers come with a token of the service account that manifests/rbac gives them and may do no more than that says.
    """

    def __init__(self, directory: Path, *, with_election: bool) -> None:
        """`with_election`: pickers may elect a leader."""
        self.kubeconfig = directory / "kubeconfig"
        """of the administrator"""
        self.process: ChildProcess | None = None
        self.pages_token = ""
        self._directory = directory
        self._with_election = with_election
        self._port = 0
        self._api = ApiServer(find_access(AccessSettings(kubeconfig=str(self.kubeconfig)), {}), time.monotonic)
        self._writer = ApiWriter(self._api)

    @property
    def url(self) -> str:
        """Of the server, known after `start`."""
        return self._api.url

    @property
    def place(self) -> str:
        """See ObjectHome."""
        return f"the API server {self.url}"

    def hints(self, pages_url: str) -> Sequence[str]:
        """See ObjectHome."""
        return (
            f"export KUBECONFIG={self.kubeconfig}",
            "kubectl get inferencepools,inferenceobjectives,pods",
            'kubectl patch inferenceobjective food-review --type merge --patch \'{"spec": {"priority": -5}}\'',
            f'curl -H "Authorization: Bearer $(kubectl create token {READER_ACCOUNT})" {pages_url}/metrics',
        )

    async def start(self) -> None:
        """Starts the server and puts CRDs and rights into it; raises ChildError, ApiError, ShippedFileError."""
        await self.start_server()
        further = (*READER_RIGHTS, ELECTION_RIGHTS) if self._with_election else READER_RIGHTS
        await self.put(*_crds_and_rights(further))
        self.pages_token = await self._writer.token(NAMESPACE, READER_ACCOUNT, TOKEN_S)

    async def start_server(self) -> None:
        """Starts the server as it was when it ended, on its former port if it had one."""
        arguments = ["kube-api", "--port", str(self._port), "--kubeconfig", str(self.kubeconfig)]
        arguments += ["--state", str(self._directory / "kube-api.state")]
        self.process = ChildProcess("kube-api", arguments, self._directory)
        ready = await self.process.start(ReadyKubeApi)
        self._port = int(ready.url.rpartition(":")[2])

    async def stop(self) -> None:
        """See ObjectHome."""
        await self._api.close()
        if self.process is not None:
            await self.process.stop()

    async def put(self, *manifests: Manifest) -> None:
        """See ObjectHome; raises ApiError."""
        for manifest in manifests:
            await self._writer.put(manifest)

    async def remove(self, manifest: Manifest) -> None:
        """See ObjectHome; raises ApiError."""
        await self._writer.remove(manifest)

    async def picker_flags(self, picker: str) -> list[str]:
        """See ObjectHome; raises ApiError."""
        token = await self._writer.token(NAMESPACE, PICKER_ACCOUNT, TOKEN_S)
        config: Any = yaml.safe_load(self.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = self._directory / f"{picker}.kubeconfig"
        write_kubeconfig(path, yaml.safe_dump(config, sort_keys=False))
        election = ["--ha-enable-leader-election"] if self._with_election else []
        return [f"--kubeconfig={path}", f"--pool-name={POOL_NAME}", f"--pool-namespace={NAMESPACE}", *election]


def _crds_and_rights(further: Sequence[str]) -> Iterator[Manifest]:
    """The CRDs, then what `kubectl apply -k manifests/rbac` takes, then these files of that folder."""
    folder = shipped_folder("manifests", holding=CRDS)
    rights = folder / "rbac"
    usual = yaml.safe_load((rights / "kustomization.yaml").read_text())["resources"]
    for path in (folder / CRDS, *(rights / name for name in (*usual, *further))):
        yield from yaml.safe_load_all(path.read_text())
