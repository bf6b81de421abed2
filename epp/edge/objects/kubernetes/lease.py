"""The Lease of an election, in the API server (coordination.k8s.io/v1)."""

from typing import Any

import msgspec

from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.election import LeaseRecord
from epp.edge.objects.kubernetes.errors import NotFound, Unreachable


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


class KubernetesLease:
    """LeaseStore. What others wrote into the object (labels, owners) stays there."""

    def __init__(self, api: ApiServer, namespace: str, name: str) -> None:
        self._api = api
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._namespace = namespace
        self._metadata: dict[str, Any] = {}

    async def read(self, timeout_s: float) -> LeaseRecord | None:
        """See LeaseStore."""
        try:
            return self._taken(await self._api.request("GET", f"{self._collection}/{self._name}", timeout_s=timeout_s))
        except NotFound:
            return None

    async def write(self, record: LeaseRecord, renewed_at: str, timeout_s: float) -> LeaseRecord:
        """See LeaseStore."""
        named = {"name": self._name, "namespace": self._namespace}
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": self._metadata | {"resourceVersion": record.version} if record.version else named,
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": record.lease_s,
                "acquireTime": record.acquired_at or renewed_at,
                "renewTime": renewed_at,
                "leaseTransitions": record.transitions,
            },
        }
        method, path = ("PUT", f"{self._collection}/{self._name}") if record.version else ("POST", self._collection)
        return self._taken(await self._api.request(method, path, body=body, timeout_s=timeout_s))

    def _taken(self, answer: bytes) -> LeaseRecord:
        try:
            lease = msgspec.json.decode(answer, type=_Lease)
            self._metadata = msgspec.json.decode(answer)["metadata"]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
            raise Unreachable(f"the answer for the lease {self._name} is no Lease: {error}") from error
        spec = lease.spec
        return LeaseRecord(
            holder=spec.holder_identity or "",
            lease_s=spec.lease_duration_seconds or 0,
            acquired_at=spec.acquire_time or "",
            transitions=spec.lease_transitions or 0,
            version=lease.metadata.resource_version,
        )
