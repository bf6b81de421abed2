"""Health checks of several pickers: each at its own port, in plaintext, and a panic only when nobody is healthy."""

import pytest

from epp.lab.envoy_config import (
    EnvoyOptions,
    PickerTls,
    SocketAddress,
    envoy_config,
    load_canonical,
    with_picker_tls,
    with_pickers,
)
from epp.lab.envoy_parts import Config, EnvoyConfigError, cluster
from epp.lab.picker_health import HEALTH_SERVICE, with_picker_health_checks

ADDRESSES = (SocketAddress("10.0.0.1", 9002), SocketAddress("10.0.0.2", 9002), SocketAddress("10.0.0.3", 9012))
PORTS = (9003, 9003, 9013)


def checked(config: Config) -> Config:
    return cluster(with_picker_health_checks(with_pickers(config, ADDRESSES), PORTS), "ext_proc")


def test_each_picker_is_checked_at_its_own_health_port() -> None:
    ext_proc = checked(load_canonical())
    endpoints = [each["endpoint"] for each in ext_proc["load_assignment"]["endpoints"][0]["lb_endpoints"]]
    ports = [
        (each["address"]["socket_address"]["port_value"], each["health_check_config"]["port_value"])
        for each in endpoints
    ]
    assert ports == [(9002, 9003), (9002, 9003), (9012, 9013)]
    [check] = ext_proc["health_checks"]
    assert check["grpc_health_check"] == {"service_name": HEALTH_SERVICE}
    assert check["interval"] == check["no_traffic_interval"] == "1s"
    assert (check["unhealthy_threshold"], check["healthy_threshold"]) == (1, 1)


def test_one_healthy_picker_of_many_is_no_reason_to_ask_the_others() -> None:
    threshold_percent = checked(load_canonical())["common_lb_config"]["healthy_panic_threshold"]["value"]
    assert 0 < threshold_percent <= 100 / 64


def test_the_rest_of_the_configuration_is_as_it_was() -> None:
    before = with_pickers(load_canonical(), ADDRESSES)
    after = with_picker_health_checks(before, PORTS)
    ext_proc = cluster(after, "ext_proc")
    for each in ext_proc["load_assignment"]["endpoints"][0]["lb_endpoints"]:
        del each["endpoint"]["health_check_config"]
    del ext_proc["health_checks"], ext_proc["common_lb_config"]
    assert after == before


def test_beside_tls_the_health_port_stays_plaintext() -> None:
    ext_proc = checked(with_picker_tls(load_canonical(), PickerTls()))
    assert ext_proc["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    [match] = ext_proc["transport_socket_matches"]
    assert match["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"
    assert match["match"] == ext_proc["health_checks"][0]["transport_socket_match_criteria"]
    assert "transport_socket_matches" not in checked(load_canonical())


def test_there_is_a_port_for_each_address() -> None:
    with pytest.raises(EnvoyConfigError, match="cluster ext_proc has 3 addresses, but 1 health ports"):
        with_picker_health_checks(with_pickers(load_canonical(), ADDRESSES), [9003])


def test_options_put_it_on_top_of_addresses_and_tls() -> None:
    made = envoy_config(EnvoyOptions(pickers=ADDRESSES, picker_tls=PickerTls(), picker_health_ports=PORTS))
    assert cluster(made, "ext_proc") == checked(with_picker_tls(load_canonical(), PickerTls()))
    assert "health_checks" not in cluster(envoy_config(EnvoyOptions(pickers=ADDRESSES)), "ext_proc")
