"""The endpoint file: what is in it, when it is written, and what is refused."""

import os
import random
import stat
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from epp.edge.gateway.eds import EdsFile, EdsWriteError, EndpointAddressError, render_eds

POOL = [("10.0.0.2", 8000), ("10.0.0.1", 8000)]
ENDPOINTS = st.lists(st.tuples(st.ip_addresses().map(str), st.integers(1, 65535)))


def endpoints_in(content: bytes) -> list[tuple[str, int]]:
    """What Envoy would read."""
    [assignment] = msgspec.json.decode(content)["resources"]
    return [
        (
            found["endpoint"]["address"]["socket_address"]["address"],
            found["endpoint"]["address"]["socket_address"]["port_value"],
        )
        for group in assignment["endpoints"]
        for found in group["lb_endpoints"]
    ]


def test_it_is_a_discovery_response_with_one_assignment() -> None:
    response = msgspec.json.decode(render_eds(POOL, "models"))
    assert set(response) == {"version_info", "resources"}
    [assignment] = response["resources"]
    assert assignment["@type"] == "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    assert assignment["cluster_name"] == "models"
    assert endpoints_in(render_eds(POOL)) == [("10.0.0.1", 8000), ("10.0.0.2", 8000)]


def test_an_empty_pool_has_no_locality() -> None:
    assert msgspec.json.decode(render_eds([]))["resources"][0]["endpoints"] == []


def test_addresses_are_ordered_as_numbers_and_ipv4_comes_first() -> None:
    mixed = [("fd00::2", 1), ("10.0.0.10", 1), ("10.0.0.9", 2), ("10.0.0.9", 1)]
    assert endpoints_in(render_eds(mixed)) == [("10.0.0.9", 1), ("10.0.0.9", 2), ("10.0.0.10", 1), ("fd00::2", 1)]


@given(ENDPOINTS, st.randoms())
def test_equal_sets_give_equal_bytes(endpoints: list[tuple[str, int]], shuffler: random.Random) -> None:
    again = endpoints + endpoints[:3]
    shuffler.shuffle(again)
    assert render_eds(again) == render_eds(endpoints)
    assert set(endpoints_in(render_eds(endpoints))) == {(str(ip_address(ip)), port) for ip, port in endpoints}


@given(ENDPOINTS, ENDPOINTS)
def test_the_version_changes_with_the_endpoints(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> None:
    versions = [msgspec.json.decode(render_eds(endpoints))["version_info"] for endpoints in (one, other)]
    assert (versions[0] == versions[1]) == (set(one) == set(other))


@given(ENDPOINTS)
def test_it_is_yaml_as_well(endpoints: list[tuple[str, int]]) -> None:
    content = render_eds(endpoints)
    assert yaml.safe_load(content) == msgspec.json.decode(content)


@pytest.mark.parametrize(
    ("address", "port", "reason"),
    [
        ("vllm-0.vllm", 8000, r"vllm-0\.vllm:8000: 'vllm-0\.vllm' is not an IP address"),
        ("10.0.0.256", 8000, r"10\.0\.0\.256:8000: .* is not an IP address"),
        ("[fd00::1]", 8000, r"is not an IP address"),
        ("", 8000, r"'' is not an IP address"),
        ("fe80::1%eth0", 8000, r"\[fe80::1%eth0\]:8000: .* scope"),
        ("10.0.0.1", 0, r"10\.0\.0\.1:0: the port must be between 1 and 65535"),
        ("10.0.0.1", 65536, r"10\.0\.0\.1:65536: the port"),
    ],
)
def test_an_impossible_endpoint_is_refused_by_name(tmp_path: Path, address: str, port: int, reason: str) -> None:
    eds = EdsFile(tmp_path / "eds.yaml")
    eds.write(POOL)
    before = eds.path.read_bytes()
    with pytest.raises(EndpointAddressError, match=reason):
        eds.write([("10.0.0.3", 8000), (address, port)])
    assert eds.path.read_bytes() == before


def test_the_file_is_replaced_and_never_rewritten(tmp_path: Path) -> None:
    """Envoy reads at any moment: whoever has the old file open keeps seeing the old content."""
    eds = EdsFile(tmp_path / "eds.yaml")
    eds.write(POOL)
    with eds.path.open("rb") as reader:
        eds.write([("10.0.0.3", 8000)])
        assert reader.read() == render_eds(POOL)
    assert endpoints_in(eds.path.read_bytes()) == [("10.0.0.3", 8000)]
    assert [path.name for path in tmp_path.iterdir()] == ["eds.yaml"], "nothing else is left in the watched directory"


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    eds = EdsFile(tmp_path / "eds.yaml")
    eds.write(POOL)
    before = eds.path.stat()
    eds.write(reversed(POOL))
    EdsFile(eds.path).write(POOL)
    assert eds.path.stat() == before


def test_a_file_that_somebody_removed_is_written_again(tmp_path: Path) -> None:
    eds = EdsFile(tmp_path / "eds.yaml")
    eds.write(POOL)
    eds.path.unlink()
    eds.write(POOL)
    assert eds.path.exists()


def test_envoy_may_read_it_under_another_user(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        EdsFile(tmp_path / "eds.yaml").write(POOL)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "eds.yaml").stat().st_mode) == 0o644


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        EdsWriteError, match=r"nowhere/eds\.yaml: No such file or directory; the directory .*nowhere must"
    ):
        EdsFile(tmp_path / "nowhere" / "eds.yaml").write(POOL)


def test_a_rename_that_fails_leaves_no_rest(tmp_path: Path) -> None:
    (tmp_path / "eds.yaml").mkdir()
    with pytest.raises(EdsWriteError, match="Is a directory"):
        EdsFile(tmp_path / "eds.yaml").write(POOL)
    assert [path.name for path in tmp_path.iterdir()] == ["eds.yaml"]
