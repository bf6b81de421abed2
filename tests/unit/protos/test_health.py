"""grpc.health.v1, whose facts are in the gRPC health checking protocol."""

from epp._pb.health_pb2 import (
    DESCRIPTOR,
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)


def test_package_service_and_methods() -> None:
    assert DESCRIPTOR.package == "grpc.health.v1"
    methods = DESCRIPTOR.services_by_name["Health"].methods
    found = [
        (method.name, method.input_type.name, method.output_type.name, method.server_streaming) for method in methods
    ]
    assert found == [
        ("Check", "HealthCheckRequest", "HealthCheckResponse", False),
        ("List", "HealthListRequest", "HealthListResponse", False),
        ("Watch", "HealthCheckRequest", "HealthCheckResponse", True),
    ]
    assert not any(method.client_streaming for method in methods)


def test_statuses() -> None:
    statuses = HealthCheckResponse.DESCRIPTOR.enum_types_by_name["ServingStatus"]
    assert {value.name: value.number for value in statuses.values} == {
        "UNKNOWN": 0,
        "SERVING": 1,
        "NOT_SERVING": 2,
        "SERVICE_UNKNOWN": 3,
    }


def test_bytes_on_the_wire() -> None:
    assert HealthCheckRequest(service="readiness").SerializeToString() == b"\x0a\x09readiness"
    assert HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString() == b"\x08\x02"
    assert HealthListRequest().SerializeToString() == b""
    listed = HealthListResponse(statuses={"a": HealthCheckResponse(status=HealthCheckResponse.SERVING)})
    assert listed.SerializeToString() == b"\x0a\x07\x0a\x01a\x12\x02\x08\x01"
