"""Where the objects of a local stack live, so that the stack is the same in each place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import yaml

from epp.lab.pool_files import Manifest, write_manifests

FILES = {"InferencePool": "pool.yaml", "Pod": "pods.yaml", "InferenceObjective": "objectives.yaml"}
"""file of each kind in a directory"""


class ObjectHome(Protocol):
    """`start` before anything else, `stop` when the pickers have ended."""

    @property
    def pages_token(self) -> str:
        """Bearer token for the pickers' pages; empty where they are open."""
        ...

    @property
    def place(self) -> str:
        """What a user calls it: a path, or an API server with its address; known after `start`."""
        ...

    def hints(self, pages_url: str) -> Sequence[str]:
        """What a user may type to look at the objects, to change them, and to read the pages at `pages_url`."""
        ...

    async def start(self) -> None:
        """Makes the place ready for objects."""

    async def stop(self) -> None:
        """Ends what `start` began."""

    async def put(self, *manifests: Manifest) -> None:
        """Each object is as its manifest says from now on, new or not."""

    async def remove(self, manifest: Manifest) -> None:
        """The object of that kind and name is no more; harmless when it is not there."""

    async def picker_flags(self, picker: str) -> list[str]:
        """How the picker of that name is told of the objects, and let in."""
        ...


class DirectoryHome:
    """ObjectHome: a file per kind."""

    pages_token = ""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def place(self) -> str:
        """See ObjectHome."""
        return str(self.directory)

    def hints(self, pages_url: str) -> Sequence[str]:
        """See ObjectHome."""
        return (f"curl {pages_url}/metrics",)

    async def start(self) -> None:
        """See ObjectHome."""
        self.directory.mkdir(parents=True, exist_ok=True)

    async def stop(self) -> None:
        """See ObjectHome."""

    async def put(self, *manifests: Manifest) -> None:
        """See ObjectHome."""
        for kind in dict.fromkeys(each["kind"] for each in manifests):
            held = self._held(kind) | {_name(each): each for each in manifests if each["kind"] == kind}
            write_manifests(self._path(kind), list(held.values()))

    async def remove(self, manifest: Manifest) -> None:
        """See ObjectHome."""
        held = self._held(manifest["kind"])
        if held.pop(_name(manifest), None) is not None:
            write_manifests(self._path(manifest["kind"]), list(held.values()))

    async def picker_flags(self, picker: str) -> list[str]:  # noqa: ARG002  all pickers read the same files
        """See ObjectHome."""
        return [f"--objects={self.directory}"]

    def _held(self, kind: str) -> dict[str, Manifest]:
        path = self._path(kind)
        return {_name(each): each for each in yaml.safe_load_all(path.read_text())} if path.exists() else {}

    def _path(self, kind: str) -> Path:
        return self.directory / FILES.get(kind, f"{kind.lower()}s.yaml")


def _name(manifest: Manifest) -> str:
    name: str = manifest["metadata"]["name"]
    return name
