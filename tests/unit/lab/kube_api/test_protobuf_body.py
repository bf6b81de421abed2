"""Bodies as kubectl 1.37 writes them (recorded), and what is no body."""

import pytest

from epp.lab.kube_api.protobuf_body import read_protobuf
from epp.lab.kube_api.status import ApiError

SECRET = (
    b'k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12\x1d\n\x11\n\x01s\x12\x00\x1a\x00"\x00*\x002\x008\x00B\x00'
    b'\x12\x06\n\x01t\x12\x011\x1a\x00\x1a\x00"\x00'
)
NAMESPACE = (
    b'k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x19\n\x11\n\x01x\x12\x00\x1a\x00"\x00*\x002\x008\x00B\x00'
    b'\x12\x00\x1a\x02\n\x00\x1a\x00"\x00'
)


def test_recorded_bodies() -> None:
    secret = read_protobuf(SECRET)
    assert (secret["apiVersion"], secret["kind"]) == ("v1", "Secret")
    assert (secret["metadata"]["name"], secret["data"]) == ("s", {"t": "MQ=="})
    assert "type" not in secret
    assert read_protobuf(NAMESPACE)["metadata"]["name"] == "x"


def test_numbers_times_lists_and_maps() -> None:
    spec = b"\x0a\x01a" + b"\x10\x0f" + b"\x1a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x05" + b"\x28\x00"
    meta = b"\x0a\x01l" + b"\x5a\x06\x0a\x01k\x12\x01v" + b"\x72\x01f"
    raw = b"\x0a" + bytes([len(meta)]) + meta + b"\x12" + bytes([len(spec)]) + spec
    head = b"\x0a\x16coordination.k8s.io/v1\x12\x05Lease"
    value = read_protobuf(b"k8s\x00\x0a" + bytes([len(head)]) + head + b"\x12" + bytes([len(raw)]) + raw)
    assert value["metadata"] == {"name": "l", "labels": {"k": "v"}, "finalizers": ["f"]}
    assert value["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2023-11-14T22:13:20.000000Z",
        "leaseTransitions": 0,
    }


@pytest.mark.parametrize(
    ("raw", "status"),
    [(b"{}", 400), (SECRET[:-12], 400), (SECRET.replace(b"Secret", b"Sacred"), 415), (b"k8s\x00", 415)],
    ids=["json", "cut off", "unknown kind", "empty"],
)
def test_what_cannot_be_read(raw: bytes, status: int) -> None:
    with pytest.raises(ApiError) as refused:
        read_protobuf(raw)
    assert refused.value.code == status
