"""The pool's endpoints as a file for Envoy's endpoint discovery (EDS over the filesystem).

Format: a DiscoveryResponse with one ClusterLoadAssignment, in JSON, which is YAML as well: Envoy chooses its parser by
the file's ending and reads it as `.yaml` and as `.json`. Source: envoy.service.discovery.v3, envoy.config.endpoint.v3.
"""

import hashlib
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from epp.core.domain.errors import InvalidInput

DEFAULT_CLUSTER_NAME = "pool"
_ASSIGNMENT_TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
_READABLE_BY_ALL = 0o644  # Envoy usually runs under another user id than the picker


class EdsError(Exception):
    """The endpoint file could not be written."""


class EndpointAddressError(EdsError):
    """An endpoint cannot go into the file: its address is not an IP address, or its port is out of range."""


class EdsWriteError(EdsError):
    """The operating system refused to write or to rename the file."""


class EdsFile:
    """One endpoint file. Envoy must watch its directory (`watched_directory`): a write is a rename in there.

    Envoy refuses to start when the file does not exist, so call write(()) before it starts.
    """

    def __init__(self, path: str | os.PathLike[str], cluster_name: str = DEFAULT_CLUSTER_NAME) -> None:
        self.path = Path(path)
        self.cluster_name = cluster_name

    def write(self, endpoints: Iterable[tuple[str, int]]) -> None:
        """Put exactly these (IP address, port) pairs into the file; does nothing when it says so already.

        Blocks for one small file. Envoy picks the change up through inotify, within milliseconds.
        Raises EndpointAddressError (the file is then untouched) and EdsWriteError.
        """
        content = render_eds(endpoints, self.cluster_name)
        try:
            if self._current() != content:
                self._replace(content)
        except OSError as error:
            raise EdsWriteError(
                f"cannot write Envoy's endpoint file {self.path}: {error.strerror}; "
                f"the directory {self.path.parent} must exist, be writable and hold both the file and its replacement"
            ) from error

    def make(self) -> None:
        """Makes the file without an endpoint; one of a former run stays until the pool is known again.

        Raises InvalidInput when it cannot be written, because then the picker cannot work.
        """
        if self.path.exists():
            return
        try:
            self.write(())
        except EdsError as error:
            raise InvalidInput("--envoy-eds", str(error)) from error

    def _current(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _replace(self, content: bytes) -> None:
        # In the same directory, because a rename is atomic only within one filesystem.
        replacement = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            replacement.write_bytes(content)
            replacement.chmod(_READABLE_BY_ALL)
            replacement.replace(self.path)
        except OSError:
            replacement.unlink(missing_ok=True)
            raise


def render_eds(endpoints: Iterable[tuple[str, int]], cluster_name: str = DEFAULT_CLUSTER_NAME) -> bytes:
    """The file's content: endpoints sorted and without repetition, so that equal sets give equal bytes.

    `version_info` is a digest of them. Raises EndpointAddressError, naming the endpoint.
    """
    unique = sorted({_checked(address, port) for address, port in endpoints})
    listed = [
        {"endpoint": {"address": {"socket_address": {"address": str(ip), "port_value": port}}}}
        for _, ip, port in unique
    ]
    assignment = {
        "@type": _ASSIGNMENT_TYPE,
        "cluster_name": cluster_name,
        "endpoints": [{"lb_endpoints": listed}] if listed else [],
    }
    version = hashlib.sha256(msgspec.json.encode(assignment)).hexdigest()[:16]
    response = {"version_info": version, "resources": [assignment]}
    return msgspec.json.format(msgspec.json.encode(response), indent=1) + b"\n"


def _checked(address: str, port: int) -> tuple[int, ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise EndpointAddressError(
            f"endpoint {address}:{port}: {address!r} is not an IP address; "
            "Envoy's endpoint file takes no host names: resolve it first"
        ) from None
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
        raise EndpointAddressError(f"endpoint [{address}]:{port}: Envoy takes no IPv6 address with a scope (%...)")
    if not 1 <= port <= 65535:
        raise EndpointAddressError(f"endpoint {address}:{port}: the port must be between 1 and 65535")
    return ip.version, ip, port
