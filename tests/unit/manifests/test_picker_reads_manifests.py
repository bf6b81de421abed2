"""`epp serve --objects` on the folders of the tutorials: the pool and its objectives, and no complaint."""

from pathlib import Path

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectState
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.findings import Notice
from epp.edge.objects.object_store import WantedPool
from tests.support.manifest_files import CLUSTERS, MULTI, OBJECT_FOLDERS, RBAC, SIDECAR, SINGLE

NOT_USED = "are not used here and are passed over"
OBJECTIVES = {
    "single-cluster": {"food-review": 10, "llama3-base-model": 20},
    "gke-west": {"food-review": 10, "food-review-1": 10},
    "gke-east": {"food-review": 10, "food-review-1": 10},
    "sidecar": {"food-review": 10},
}
# As the tutorials have them, with the lines that they lost.
TUTORIAL_OBJECTIVE = """\
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceObjective
metadata:
  name: food-review
spec:
  priority: 10
  poolRef:
    name: llama3-8b-instruct
    group: "inference.networking.k8s.io"
"""
TUTORIAL_EXAMPLE = """\
apiVersion: inference.networking.k8s.io/v1alpha1
kind: InferenceObjective
metadata:
  name: food-review
spec:
  priority: 10
  poolRef:
    name: vllm-llama3.1-8b-instruct
    kind: "InferencePool"
"""


class Loaded:
    """What the picker makes of a path, and what it says about it."""

    def __init__(self, path: Path) -> None:
        self.state = ObjectState(None, ())
        self.problems: list[InvalidInput] = []
        self.notices: list[Notice] = []
        ObjectDirectory(
            path, self, wanted=WantedPool(), on_problem=self.problems.append, on_notice=self.notices.append
        ).poll_once()

    def objects_changed(self, state: ObjectState) -> None:
        self.state = state

    @property
    def priorities(self) -> dict[str, int]:
        return {each.name: each.priority for each in self.state.objectives}


@pytest.mark.parametrize("folder", [*CLUSTERS, SIDECAR], ids=lambda folder: folder.name)
def test_it_finds_the_pool_with_its_objectives_and_passes_over_the_rest(folder: Path) -> None:
    loaded = Loaded(folder)
    assert loaded.problems == []
    assert [str(notice) for notice in loaded.notices if NOT_USED not in notice.text] == []
    assert loaded.state.pool is not None
    assert loaded.state.pool.target_ports == (8000,)
    assert loaded.state.pool.failure_mode == "FailOpen"
    assert loaded.priorities == OBJECTIVES[folder.name]


def test_no_kind_that_it_reads_is_passed_over() -> None:
    for folder in OBJECT_FOLDERS:
        passed_over = [notice.text for notice in Loaded(folder).notices if NOT_USED in notice.text]
        assert not [text for text in passed_over if text.startswith("objects of kind Inference")], folder.name
    assert Loaded(RBAC).state.pool is None


def test_the_tutorials_own_pool_reference_is_warned_about_by_file_and_line(tmp_path: Path) -> None:
    pool = tmp_path / "05-inference-pool.yaml"
    pool.write_text((MULTI / "gke-west" / "05-inference-pool.yaml").read_text())
    objective = tmp_path / "inference-objective.yaml"
    objective.write_text(f"# as in the tutorial\n{TUTORIAL_OBJECTIVE}")
    loaded = Loaded(tmp_path)
    assert loaded.problems == []
    (notice,) = loaded.notices
    assert str(notice) == (
        f"{objective}:2: InferenceObjective default/food-review counts for nothing: "
        "there is no InferencePool default/llama3-8b-instruct of group inference.networking.k8s.io"
    )
    assert loaded.priorities == {}


def test_the_tutorials_own_version_is_taken_from_files_with_a_notice(tmp_path: Path) -> None:
    pool = tmp_path / "05-inferencepool.yaml"
    pool.write_text((SINGLE / "05-inferencepool.yaml").read_text())
    (tmp_path / "inferenceobjective.yaml").write_text(TUTORIAL_EXAMPLE)
    loaded = Loaded(tmp_path)
    assert loaded.problems == []
    (notice,) = loaded.notices
    assert notice.line == 1
    assert "with kubectl use inference.networking.x-k8s.io/v1alpha2" in notice.text
    assert loaded.priorities == {"food-review": 10}
