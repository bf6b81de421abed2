"""The lease as an object: created, replaced by version, and what others wrote into it kept."""

from typing import Any

import pytest

from epp.edge.objects.kubernetes.election import LeaseRecord
from epp.edge.objects.kubernetes.errors import Conflict, Unreachable
from epp.edge.objects.kubernetes.lease import KubernetesLease
from tests.support.recorded_api import Answer, RecordedApi
from tests.support.scripted_api import refused

NOW = "2026-01-01T00:00:02.000000Z"
PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
STORED: dict[str, Any] = {
    "metadata": {"name": "epp", "namespace": "default", "resourceVersion": "7", "labels": {"team": "ml"}},
    "spec": {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:01.000000Z",
        "leaseTransitions": 3,
    },
}


def lease_of(answer: Answer) -> tuple[KubernetesLease, RecordedApi]:
    api = RecordedApi(lambda *_: answer)
    return KubernetesLease(api.as_server(), "default", "epp"), api


async def test_reading() -> None:
    lease, api = lease_of(STORED)
    assert await lease.read(1.0) == LeaseRecord("a", 15, "2026-01-01T00:00:00.000000Z", 3, "7")
    assert api.asked == [("GET", f"{PATH}/epp", None)]


async def test_there_is_none_yet_and_it_is_created() -> None:
    lease, api = lease_of(refused(404))
    assert await lease.read(1.0) is None
    api.answer = lambda *_: STORED
    written = await lease.write(LeaseRecord("a", 15), NOW, 1.0)
    assert written.version == "7"
    method, path, body = api.asked[-1]
    assert (method, path) == ("POST", PATH)
    assert body["metadata"] == {"name": "epp", "namespace": "default"}
    assert body["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": NOW,
        "renewTime": NOW,
        "leaseTransitions": 0,
    }


async def test_replacing_names_the_version_and_keeps_what_others_wrote() -> None:
    lease, api = lease_of(STORED)
    found = await lease.read(1.0)
    assert found is not None
    await lease.write(found, NOW, 1.0)
    method, path, body = api.asked[-1]
    assert (method, path) == ("PUT", f"{PATH}/epp")
    assert body["metadata"] == STORED["metadata"]
    assert body["spec"]["acquireTime"] == STORED["spec"]["acquireTime"]
    assert body["spec"]["renewTime"] == NOW


async def test_who_was_overtaken_hears_of_it() -> None:
    lease, api = lease_of(STORED)
    found = await lease.read(1.0)
    assert found is not None
    api.answer = lambda *_: refused(409, "the object has been modified")
    with pytest.raises(Conflict):
        await lease.write(found, NOW, 1.0)


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None, "leaseDurationSeconds": None}])
async def test_a_lease_without_a_holder(spec: dict[str, Any]) -> None:
    lease, _ = lease_of({"metadata": {"resourceVersion": "1"}, "spec": spec})
    assert await lease.read(1.0) == LeaseRecord("", 0, version="1")


async def test_an_answer_that_is_no_lease() -> None:
    lease, _ = lease_of(b"<html>")
    with pytest.raises(Unreachable, match="is no Lease"):
        await lease.read(1.0)
