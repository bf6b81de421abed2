"""Health checks of several pickers: Envoy asks the one that leads, and while nobody does, any that answers."""

import copy
from collections.abc import Sequence

from epp.lab.envoy_parts import Config, EnvoyConfigError, cluster

HEALTH_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
INTERVAL = "1s"
_PLAINTEXT = {"health-check": True}
_RAW_BUFFER = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
}


def with_picker_health_checks(config: Config, health_ports: Sequence[int]) -> Config:
    """Checks each address of cluster `ext_proc` at its own health port, given in the order of the addresses.

    Of several replicas the leader alone is SERVING; the others refuse the check and answer streams all the same. Raises
    EnvoyConfigError when there are not as many ports as addresses.
    """
    config = copy.deepcopy(config)
    ext_proc = cluster(config, "ext_proc")
    [locality] = ext_proc["load_assignment"]["endpoints"]
    pickers = locality["lb_endpoints"]
    if len(pickers) != len(health_ports):
        raise EnvoyConfigError(f"cluster ext_proc has {len(pickers)} addresses, but {len(health_ports)} health ports")
    for picker, port in zip(pickers, health_ports, strict=True):
        picker["endpoint"]["health_check_config"] = {"port_value": port}
    check: Config = {
        "timeout": INTERVAL,
        "interval": INTERVAL,
        # Standbys get no traffic, nor does anybody before the first request; the default would be a minute.
        "no_traffic_interval": INTERVAL,
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "grpc_health_check": {"service_name": HEALTH_SERVICE},
    }
    if "transport_socket" in ext_proc:
        # The health port is plaintext, whatever the picker's own port speaks.
        ext_proc["transport_socket_matches"] = [
            {"name": "health-check", "match": _PLAINTEXT, "transport_socket": _RAW_BUFFER}
        ]
        check["transport_socket_match_criteria"] = _PLAINTEXT
    ext_proc["health_checks"] = [check]
    # Only when nobody at all is healthy everybody is asked. At the default of 50 % one leader of three would share its
    # streams with the standbys.
    ext_proc["common_lb_config"] = {"healthy_panic_threshold": {"value": 1}}
    return config
