"""Where Envoy finds the picker processes of one replica."""

import msgspec
import pytest

from epp.lab.picker_replica import ReadyPicker


@pytest.mark.parametrize(
    ("ready", "ports"),
    [
        (b'{"grpc_port": 1, "health_port": 2, "metrics_port": 3}', (1,)),
        (b'{"grpc_port": 1, "health_port": 2, "metrics_port": 3, "picker_ports": [4, 5]}', (4, 5)),
    ],
    ids=["one port", "a port per process"],
)
def test_ports_of_a_ready_file(ready: bytes, ports: tuple[int, ...]) -> None:
    assert msgspec.json.decode(ready, type=ReadyPicker).ext_proc_ports == ports
