"""Every manifest: it loads, its schema takes it, it is where its README says, and it names what exists."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.crd_schema import object_errors, schemas
from tests.support.kubernetes_schema import NEWEST, OLDEST, builtin_errors
from tests.support.manifest_files import (
    ALTERNATIVES,
    CLUSTERS,
    GKE,
    KNOWN_FIELDS,
    MANIFESTS,
    MULTI,
    OBJECT_FOLDERS,
    RBAC,
    SIDECAR,
    SINGLE,
    Found,
    field_paths,
    objects_in,
)

ALL = [found for folder in OBJECT_FOLDERS for found in objects_in(folder)]
WITHOUT_NAMESPACE = {"ClusterRole", "ClusterRoleBinding"}
READMES = {
    SINGLE: SINGLE,
    MULTI: MULTI,
    MULTI / "gke-west": MULTI,
    MULTI / "gke-east": MULTI,
    ALTERNATIVES: MULTI,
    SIDECAR: SIDECAR,
    RBAC: RBAC,
    GKE / "helm": GKE,
}
"""folder of files -> folder of the README that lists them"""


@pytest.mark.parametrize("found", ALL, ids=str)
def test_the_schema_of_its_kind_takes_it(found: Found) -> None:
    kind = (found.content["apiVersion"], found.kind)
    if kind in schemas():
        assert object_errors(found.content) == []
    elif kind in KNOWN_FIELDS:
        assert found.content.keys() == {"apiVersion", "kind", "metadata", "spec"}
        assert set(field_paths(found.spec)) <= KNOWN_FIELDS[kind]
    else:
        assert {version: builtin_errors(found.content, version) for version in (OLDEST, NEWEST)} == {
            OLDEST: [],
            NEWEST: [],
        }


def test_mistakes_would_be_noticed() -> None:
    deployment = next(found for found in ALL if found.kind == "Deployment")
    assert builtin_errors(deployment.content | {"spec": deployment.spec | {"replica": 3}})
    policy = next(found for found in ALL if found.kind == "GCPBackendPolicy")
    misspelt = {"default": {"customMetrics": [{"maxUtilization": 60}]}}
    assert not set(field_paths(misspelt)) <= KNOWN_FIELDS[(policy.content["apiVersion"], policy.kind)]


@pytest.mark.parametrize("found", ALL, ids=str)
def test_namespaces_are_said_where_there_are_some(found: Found) -> None:
    namespace = found.content["metadata"].get("namespace")
    assert namespace == (None if found.kind in WITHOUT_NAMESPACE else "default")


@pytest.mark.parametrize("folder", [*CLUSTERS, SIDECAR, RBAC], ids=lambda folder: folder.name)
def test_no_object_is_there_twice(folder: Path) -> None:
    identities = [found.identity for found in objects_in(folder)]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("folder", [*CLUSTERS, ALTERNATIVES], ids=lambda folder: folder.name)
def test_files_are_numbered_in_the_order_of_the_tutorial(folder: Path) -> None:
    readme = (READMES[folder] / "README.md").read_text()
    for path in folder.glob("*.yaml"):
        if path.name == "cluster.yaml":
            continue
        number = re.fullmatch(r"([01][0-9])-[a-z0-9.-]+\.yaml", path.name)
        assert number, path.name
        rows = [row for row in readme.splitlines() if re.match(rf"\| {int(number[1])} \|", row)]
        assert len(rows) == 1, path.name
        assert folder == ALTERNATIVES or f"{path.name}`" in rows[0], path.name


@pytest.mark.parametrize("folder", READMES, ids=lambda folder: folder.name)
def test_the_readme_lists_every_file(folder: Path) -> None:
    readme = (READMES[folder] / "README.md").read_text()
    files = [path.name for path in folder.iterdir() if path.is_file() and path.name != "README.md"]
    assert [name for name in files if not re.search(rf"[`/ ]{re.escape(name)}`", readme)] == []


def test_every_folder_is_known_to_these_tests() -> None:
    with_yaml = {path.parent for path in MANIFESTS.rglob("*.yaml") if "chart" not in path.relative_to(MANIFESTS).parts}
    assert with_yaml == {*OBJECT_FOLDERS, MANIFESTS / "crds", GKE / "helm"}


def test_every_correction_is_commented_and_listed() -> None:
    """A comment where it stands; the README of the folder has a line for each, and for those that are no file's."""
    for folder, least in ((SINGLE, 10), (MULTI, 15)):
        readme = (folder / "README.md").read_text().partition("## Slips")[2]
        rows = [row for row in readme.splitlines() if row.startswith("| ") and not row.startswith("| where")]
        corrected = [
            path for path in folder.rglob("*.yaml") if not path.is_symlink() and "Corrected:" in path.read_text()
        ]
        assert len(rows) >= least
        assert len(corrected) >= 4
        for path in corrected:
            step = int(path.name.partition("-")[0])
            assert any(re.search(rf"\bstep {step}\b|\bstep \d+ and {step}\b", row) for row in rows), path.name


def test_what_both_clusters_have_is_the_same() -> None:
    west, east = MULTI / "gke-west", MULTI / "gke-east"
    shared = {path.name for path in east.glob("*.yaml")} - {"cluster.yaml"}
    assert shared == {path.name for path in west.glob("0[3-58]-*.yaml")}
    for name in shared:
        assert (east / name).read_text() == (west / name).read_text()


def test_clusters_say_who_they_are_and_one_of_them_configures_the_gateway() -> None:
    described = {}
    for folder in CLUSTERS[1:]:
        (content,) = yaml.safe_load_all((folder / "cluster.yaml").read_text())
        described[folder.name] = content["data"]
        assert content["data"]["name"] == folder.name
        assert content["data"].keys() == {"name", "region", "zone", "config"}
        assert content["metadata"]["labels"] == {"gke.io/region": content["data"]["region"]}
    assert [name for name, data in described.items() if data["config"] == "true"] == ["gke-west"]
    gateway = next(found for found in objects_in(MULTI / "gke-west") if found.kind == "Gateway")
    assert {address["value"] for address in gateway.spec["addresses"]} == {
        data["region"] for data in described.values()
    }
    for address in gateway.spec["addresses"]:
        assert address["type"] == f"networking.gke.io/ephemeral-ipv4-address/{address['value']}"
