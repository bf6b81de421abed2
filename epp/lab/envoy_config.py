"""Envoy configurations: the canonical `envoy/envoy.yaml` and the variants made from it.

A configuration is the parsed YAML. Every `with_*` function takes one and returns a changed copy, so that variants
combine: `with_fail_close(with_picker_tls(load_canonical()))`. `envoy_config(options)` applies what its options name.

The ready-made `envoy/full-duplex.yaml` and `envoy/fail-close.yaml` are written from the canonical file by

    python -m epp.lab.envoy_config --write
"""

import argparse
import copy
import ipaddress
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from epp.core.domain.pool import AppProtocol
from epp.lab.envoy_parts import Config, EnvoyConfigError, cluster, http_filter, http_manager, named
from epp.lab.picker_health import with_picker_health_checks
from epp.lab.shipped_files import ShippedFileError, shipped_folder

PICKED_BY_HEADER = "x-picked-by"
_TLS_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_NO_PICKER_ERROR = {
    "error": {
        "message": "inference error: ServiceUnavailable - no endpoint picker answered and this pool fails closed",
        "type": "service_unavailable",
        "code": 503,
    }
}


class SocketAddress(msgspec.Struct, frozen=True):
    """Where to listen (IP address; port 0 lets the system choose) or to connect (IP address or host name)."""

    host: str
    port: int


class PickerTls(msgspec.Struct, frozen=True):
    """How Envoy encrypts to the EPP: unverified, or against a CA (PEM file) and, if given, this DNS name."""

    ca_file: str | None = None
    server_name: str | None = None


class EnvoyOptions(msgspec.Struct, frozen=True):
    """What differs from the canonical file; None leaves what the file says. `probes="off"` removes that listener."""

    body_mode: Literal["buffered", "full-duplex"] = "buffered"
    failure_mode: Literal["open", "close"] = "open"
    listener: SocketAddress | None = None
    admin: SocketAddress | None = None
    probes: SocketAddress | Literal["off"] | None = None
    pickers: tuple[SocketAddress, ...] = ()
    picker_health_ports: tuple[int, ...] = ()
    """in the order of `pickers`, for replicas of which one leads; none: no health checks"""
    picker_tls: PickerTls | None = None
    eds_path: str | None = None
    max_body_bytes: int | None = None
    app_protocol: AppProtocol = "http"
    """of the pool: how Envoy speaks to the pods"""


def envoy_folder() -> Path:
    """The folder with envoy.yaml; raises EnvoyConfigError."""
    try:
        return shipped_folder("envoy", holding="envoy.yaml")
    except ShippedFileError as error:
        raise EnvoyConfigError(str(error)) from error


def load_canonical() -> Config:
    """`envoy/envoy.yaml`, parsed. Raises EnvoyConfigError if it is not there."""
    config: Config = yaml.safe_load((envoy_folder() / "envoy.yaml").read_text())
    return config


def envoy_config(options: EnvoyOptions | None = None) -> Config:
    """The canonical configuration with `options` applied."""
    options = options or EnvoyOptions()
    config = load_canonical()
    if options.body_mode == "full-duplex":
        config = with_full_duplex(config)
    if options.failure_mode == "close":
        config = with_fail_close(config)
    if options.listener:
        config = with_listener(config, "models", options.listener)
    if options.admin:
        config = with_admin(config, options.admin)
    if options.probes == "off":
        config = without_probes(config)
    elif options.probes:
        config = with_listener(config, "probes", options.probes)
    config = _with_picker_options(config, options)
    if options.eds_path:
        config = with_eds_path(config, options.eds_path)
    if options.max_body_bytes:
        config = with_body_limit(config, options.max_body_bytes)
    if options.app_protocol == "kubernetes.io/h2c":
        config = with_h2c_pods(config)
    return config


def _with_picker_options(config: Config, options: EnvoyOptions) -> Config:
    if options.pickers:
        config = with_pickers(config, options.pickers)
    if options.picker_tls:
        config = with_picker_tls(config, options.picker_tls)
    if options.picker_health_ports:
        config = with_picker_health_checks(config, options.picker_health_ports)
    return config


def with_full_duplex(config: Config) -> Config:
    """Bodies of requests and answers stream through the EPP (FULL_DUPLEX_STREAMED), as on GKE and Istio."""
    config = copy.deepcopy(config)
    ext_proc = http_filter(config, "envoy.filters.http.ext_proc")
    ext_proc["processing_mode"] |= {
        "request_body_mode": "FULL_DUPLEX_STREAMED",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
    }
    # A body that streams through a dead EPP cannot be sent on its own: say 503 instead of the default 500.
    ext_proc["status_on_error"] = {"code": "ServiceUnavailable"}
    return config


def with_fail_close(config: Config) -> Config:
    """Without the EPP, 503. `failure_mode_allow` stays true: false would cut every running answer when an EPP dies.

    Route 1 takes only requests with `x-picked-by`, which the EPP sets together with clear_route_cache.
    """
    config = copy.deepcopy(config)
    host = http_manager(config)["route_config"]["virtual_hosts"][0]
    picked = host["routes"][0]
    picked["match"]["headers"] = [{"name": PICKED_BY_HEADER, "present_match": True}]
    picked["request_headers_to_remove"] = [PICKED_BY_HEADER]
    not_picked = {
        "name": "not-picked",
        "match": {"prefix": "/"},
        "direct_response": {"status": 503, "body": {"inline_string": json.dumps(_NO_PICKER_ERROR)}},
        "response_headers_to_add": [
            {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for name, value in (("content-type", "application/json"), ("retry-after", "1"))
        ],
    }
    host["routes"] = [picked, not_picked]
    return config


def with_listener(config: Config, name: Literal["models", "probes"], address: SocketAddress) -> Config:
    """Listens there for clients (`models`) or for probes and metrics (`probes`)."""
    config = copy.deepcopy(config)
    named(config["static_resources"]["listeners"], name, "listener")["address"] = _socket_address(address)
    return config


def with_admin(config: Config, address: SocketAddress) -> Config:
    """Envoy's admin there. With port 0 the `probes` listener cannot know it: combine with without_probes()."""
    config = copy.deepcopy(config)
    config["admin"]["address"] = _socket_address(address)
    for found in config["static_resources"]["clusters"]:
        if found["name"] == "admin":
            found["load_assignment"] = _load_assignment("admin", (address,))
    return config


def without_probes(config: Config) -> Config:
    """Removes the listener for probes and metrics, and the cluster it forwards to."""
    config = copy.deepcopy(config)
    resources = config["static_resources"]
    resources["listeners"] = [found for found in resources["listeners"] if found["name"] != "probes"]
    resources["clusters"] = [found for found in resources["clusters"] if found["name"] != "admin"]
    return config


def with_pickers(config: Config, addresses: Sequence[SocketAddress]) -> Config:
    """Reaches the EPP at these addresses, one per picker process. Any host name among them turns on DNS lookups."""
    config = copy.deepcopy(config)
    ext_proc = cluster(config, "ext_proc")
    ext_proc["type"] = "STATIC" if all(_is_ip(address.host) for address in addresses) else "STRICT_DNS"
    ext_proc["load_assignment"] = _load_assignment("ext_proc", addresses)
    return config


def with_picker_tls(config: Config, tls: PickerTls) -> Config:
    """Speaks TLS to the EPP; without a CA file any certificate is taken (the EPP makes its own by default)."""
    config = copy.deepcopy(config)
    context: Config = {"@type": _TLS_TYPE, "common_tls_context": {"alpn_protocols": ["h2"]}}
    if tls.server_name:
        context["sni"] = tls.server_name
    if tls.ca_file:
        validation: Config = {"trusted_ca": {"filename": tls.ca_file}}
        if tls.server_name:
            validation["match_typed_subject_alt_names"] = [{"san_type": "DNS", "matcher": {"exact": tls.server_name}}]
        context["common_tls_context"]["validation_context"] = validation
    cluster(config, "ext_proc")["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return config


def with_eds_path(config: Config, path: str) -> Config:
    """Reads the pool's endpoints from this absolute path."""
    config = copy.deepcopy(config)
    cluster(config, "pool")["eds_cluster_config"]["eds_config"]["path_config_source"] = {
        "path": path,
        "watched_directory": {"path": str(Path(path).parent)},
    }
    return config


def with_body_limit(config: Config, body_bytes: int) -> Config:
    """Takes bodies of up to `body_bytes`; pass the EPP the same number as --max-body-bytes."""
    config = copy.deepcopy(config)
    named(config["static_resources"]["listeners"], "models", "listener")["per_connection_buffer_limit_bytes"] = (
        body_bytes
    )
    http2 = http_manager(config)["http2_protocol_options"]
    http2["initial_stream_window_size"] = _window_bytes(body_bytes)
    http2["initial_connection_window_size"] = _window_bytes(2 * body_bytes)
    return config


def with_h2c_pods(config: Config) -> Config:
    """Speaks HTTP/2 in cleartext to the pods, as the pool's appProtocol kubernetes.io/h2c asks; gRPC needs it."""
    config = copy.deepcopy(config)
    (options,) = cluster(config, "pool")["typed_extension_protocol_options"].values()
    options["explicit_http_config"] = {"http2_protocol_options": {}}
    return config


def _socket_address(address: SocketAddress) -> Config:
    return {"socket_address": {"address": address.host, "port_value": address.port}}


def _load_assignment(name: str, addresses: Sequence[SocketAddress]) -> Config:
    endpoints = [{"endpoint": {"address": _socket_address(address)}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def _window_bytes(wanted: int) -> int:
    return min(max(wanted, 2**16 - 1), 2**31 - 1)  # what HTTP/2 allows (RFC 9113 6.9.2)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


READY_MADE = {
    "full-duplex.yaml": (
        EnvoyOptions(body_mode="full-duplex"),
        "Like envoy.yaml, but both bodies stream through the EPP, as on GKE and Istio. Without the EPP requests fail.",
    ),
    "fail-close.yaml": (
        EnvoyOptions(failure_mode="close"),
        "Like envoy.yaml, but without the EPP every request gets 503; answers that already run are not cut.",
    ),
}


def render_ready_made(name: str) -> str:
    """The text of one of READY_MADE."""
    options, purpose = READY_MADE[name]
    header = (
        f"# {purpose}\n# Generated from envoy.yaml by `python -m epp.lab.envoy_config --write`; edit that file.\n\n"
    )
    return header + yaml.safe_dump(envoy_config(options), sort_keys=False, width=120)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the ready-made files (--write) or print them."""
    parser = argparse.ArgumentParser(prog="python -m epp.lab.envoy_config", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write them beside envoy.yaml instead of printing them")
    write: bool = parser.parse_args(arguments).write
    for name in READY_MADE:
        if write:
            (envoy_folder() / name).write_text(render_ready_made(name))
        else:
            sys.stdout.write(render_ready_made(name))


if __name__ == "__main__":
    main()
