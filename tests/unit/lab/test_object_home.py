"""A directory as the home of a stack's objects: a file per kind, changed object by object."""

from pathlib import Path

import yaml

from epp.lab.object_home import DirectoryHome
from epp.lab.pool_files import Manifest, objective_manifest


def names(directory: Path) -> dict[str, list[str]]:
    """Of the objects by file."""
    return {
        path.name: [each["metadata"]["name"] for each in yaml.safe_load_all(path.read_text())]
        for path in sorted(directory.iterdir())
    }


def rewrite(name: str) -> Manifest:
    return {"apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite", "metadata": {"name": name}, "spec": {}}


async def test_objects_of_a_kind_share_a_file(tmp_path: Path) -> None:
    home = DirectoryHome(tmp_path / "objects")
    await home.start()
    await home.put(objective_manifest("a", 1), rewrite("r"), objective_manifest("b", 2))
    await home.put(objective_manifest("c", 3))
    assert names(home.directory) == {"inferencemodelrewrites.yaml": ["r"], "objectives.yaml": ["a", "b", "c"]}


async def test_an_object_that_is_there_is_replaced(tmp_path: Path) -> None:
    home = DirectoryHome(tmp_path)
    await home.put(objective_manifest("a", 1), objective_manifest("b", 2))
    await home.put(objective_manifest("a", -7))
    found = list(yaml.safe_load_all((tmp_path / "objectives.yaml").read_text()))
    assert [each["spec"]["priority"] for each in found] == [-7, 2]


async def test_what_is_removed_is_gone_and_once_more_does_no_harm(tmp_path: Path) -> None:
    home = DirectoryHome(tmp_path)
    await home.remove(objective_manifest("a", 1))
    await home.put(objective_manifest("a", 1), objective_manifest("b", 2))
    for _ in range(2):
        await home.remove(objective_manifest("a", 1))
    assert names(tmp_path) == {"objectives.yaml": ["b"]}
    await home.remove(objective_manifest("b", 2))
    assert names(tmp_path) == {"objectives.yaml": []}


async def test_pickers_are_told_the_directory_and_their_pages_are_open(tmp_path: Path) -> None:
    home = DirectoryHome(tmp_path)
    assert await home.picker_flags("picker") == [f"--objects={tmp_path}"]
    assert (home.place, home.pages_token) == (str(tmp_path), "")
