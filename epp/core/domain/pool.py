"""InferencePool: which pods belong together, and on which ports they serve (inference.networking.k8s.io/v1)."""

from collections.abc import Mapping
from typing import Literal

import msgspec

POOL_GROUP = "inference.networking.k8s.io"
AppProtocol = Literal["http", "kubernetes.io/h2c"]
"""how pods are spoken to: HTTP/1.1, or HTTP/2 in cleartext with prior knowledge, which gRPC needs"""


class InferencePool(msgspec.Struct, frozen=True):
    """What the picker needs of an InferencePool object."""

    namespace: str
    name: str
    match_labels: Mapping[str, str]
    target_ports: tuple[int, ...]
    """1 to 8 ports; each is a rank with its own endpoint"""
    app_protocol: AppProtocol | None = None
    """None where the object does not say, which means http and fits every parser"""
    failure_mode: Literal["FailOpen", "FailClose"] = "FailClose"
    group: str = POOL_GROUP
    uid: str = ""
    """of the object; empty where the pool is no object of a cluster"""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod with these labels belongs to the pool (equality on every label of the selector)."""
        return all(labels.get(name) == value for name, value in self.match_labels.items())
