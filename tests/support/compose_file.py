"""docker-compose.yaml as values: services with their anchors resolved, and what they run."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).resolve().parents[2]
OWN_IMAGE = "endpoint-picker"


class Mount(msgspec.Struct, frozen=True):
    """One volume of a service; `source` is a name, or a path relative to the file that begins with `./`."""

    source: str
    target: str
    read_only: bool

    @property
    def is_path(self) -> bool:
        """Of the machine, not a named volume."""
        return self.source.startswith("./")


class Compose:
    """The file; raises KeyError for services that are not in it."""

    def __init__(self, path: Path = ROOT / "docker-compose.yaml") -> None:
        self.content: dict[str, Any] = yaml.safe_load(path.read_text())
        self.services: dict[str, dict[str, Any]] = self.content["services"]

    def commands(self) -> dict[str, list[str]]:
        """Arguments of `epp` by service, of the services that run it."""
        return {
            name: service["command"]
            for name, service in self.services.items()
            if service.get("image") == OWN_IMAGE and "entrypoint" not in service
        }

    def mounts(self, service: str) -> list[Mount]:
        """The short form `source:target[:ro]` is the only one in use."""
        found = []
        for text in self.services[service].get("volumes", []):
            source, target, *mode = text.split(":")
            assert mode in ([], ["ro"]), text
            found.append(Mount(source, target, mode == ["ro"]))
        return found

    def addresses(self) -> dict[str, str]:
        """Fixed IP addresses by service."""
        return {
            name: service["networks"]["default"]["ipv4_address"]
            for name, service in self.services.items()
            if "networks" in service
        }
