"""An endpoint: one port of one ready model-server pod, the thing that is picked."""

from collections.abc import Mapping

import msgspec

NO_LABELS: Mapping[str, str] = {}


def destination(address: str, port: int) -> str:
    """`ip:port` as Envoy's override_host reads it; IPv6 in brackets (endpoint picker protocol, proposal 004)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Endpoint(msgspec.Struct, frozen=True):
    """One (pod, target port).

    `name` is `<pod>-rank-<index of the port>` as in the reference; `incarnation` tells a restarted or replaced pod of
    the same name apart (pod uid and restart count), so that what was learned about the old one is forgotten.
    """

    namespace: str
    name: str
    pod: str
    address: str
    port: int
    labels: Mapping[str, str] = NO_LABELS
    incarnation: str = ""
    metrics_address: str = ""
    """host of the metrics page when it differs from `address`"""
    metrics_port: int = 0
    """port of the metrics page; 0 means `port`"""
    node: str = ""
    """name of the machine, empty where it is not known"""
    destination: str = ""
    """`address:port`, filled in by `create`"""

    @classmethod
    def create(
        cls,
        *,
        namespace: str,
        pod: str,
        rank: int,
        address: str,
        port: int,
        labels: Mapping[str, str] = NO_LABELS,
        incarnation: str = "",
        metrics_address: str = "",
        metrics_port: int = 0,
        node: str = "",
    ) -> "Endpoint":
        """The endpoint of target port number `rank` (0..7) of a pod."""
        return cls(
            namespace=namespace,
            name=f"{pod}-rank-{rank}",
            pod=pod,
            address=address,
            port=port,
            labels=labels,
            incarnation=incarnation,
            metrics_address=metrics_address,
            metrics_port=metrics_port,
            node=node,
            destination=destination(address, port),
        )

    @property
    def key(self) -> str:
        """`namespace/name`, unique within a pool."""
        return f"{self.namespace}/{self.name}"

    @property
    def rank(self) -> int:
        """Number of its port among the target ports of the pod; 0 where the name does not say."""
        _, _, digits = self.name.rpartition("-rank-")
        return int(digits) if digits.isdecimal() else 0
