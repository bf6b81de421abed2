"""Objects from a directory, hot-reloaded; `settle` is two polls, half a second in real life."""

import asyncio
from pathlib import Path

import pytest

from epp.core.domain.ports import ObjectState
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.object_store import WantedPool
from tests.support.eventually import eventually
from tests.support.object_yaml import documents, objective_yaml, pod_yaml, pool_yaml


class Lab:
    """A directory, the source that watches it, and everything that it told."""

    def __init__(self, path: Path, wanted: WantedPool | None = None) -> None:
        self.path = path
        self.states: list[ObjectState] = []
        self.said: list[str] = []
        self.source = ObjectDirectory(
            path,
            self,
            wanted=wanted or WantedPool(),
            on_problem=lambda problem: self.said.append(str(problem)),
            on_notice=lambda notice: self.said.append(str(notice)),
        )

    def objects_changed(self, state: ObjectState) -> None:
        self.states.append(state)

    @property
    def pods(self) -> list[str]:
        return [endpoint.pod for endpoint in self.states[-1].endpoints]

    def write(self, name: str, *texts: str) -> None:
        other = self.path / f".{name}.new"
        other.write_text(documents(*texts))
        other.rename(self.path / name)

    def settle(self) -> None:
        self.source.poll_once()
        self.source.poll_once()

    def new(self) -> list[str]:
        said, self.said = self.said, []
        return said


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.write("pool.yaml", pool_yaml())
    made.write("pods.yaml", pod_yaml("a", "10.0.0.1"), pod_yaml("b", "10.0.0.2"))
    made.write("objectives.yaml", objective_yaml("food-review", priority=10))
    made.source.poll_once()
    return made


def test_the_first_poll_tells_everything(lab: Lab) -> None:
    assert len(lab.states) == 1
    state = lab.states[0]
    assert state.pool is not None
    assert (state.pool.name, lab.pods) == ("pool", ["a", "b"])
    assert [(objective.name, objective.priority) for objective in state.objectives] == [("food-review", 10)]
    assert (lab.said, lab.source.problems) == ([], ())


def test_only_real_changes_are_told(lab: Lab) -> None:
    lab.settle()
    lab.write("pods.yaml", "# a comment\n" + pod_yaml("b", "10.0.0.2"), pod_yaml("a", "10.0.0.1"))
    lab.write("more.yaml", pod_yaml("of-others", "10.0.0.9", app="other"))
    lab.settle()
    assert len(lab.states) == 1


def test_changes_are_told(lab: Lab) -> None:
    lab.write("pods.yaml", pod_yaml("a", "10.0.0.1"), pod_yaml("b", "10.0.0.2", ready="False"))
    lab.settle()
    assert lab.pods == ["a"]
    lab.write("more.json", '{"apiVersion": "v1", "kind": "List", "items": []}')
    lab.write("pods.yaml", pod_yaml("c", "10.0.0.3"))
    lab.settle()
    assert lab.pods == ["c"]
    assert len(lab.states) == 3


def test_a_removed_file_takes_its_objects_with_it(lab: Lab) -> None:
    (lab.path / "pods.yaml").unlink()
    lab.settle()
    assert lab.pods == []
    (lab.path / "pool.yaml").unlink()
    lab.settle()
    assert lab.states[-1] == ObjectState(None, ())


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: [", "pods.yaml:1"),
        (pod_yaml("a", "nowhere"), "pods.yaml:17: status.podIP: 'nowhere' is not an IP address"),
        ("kind: Pod\n", "pods.yaml:11: apiVersion is missing"),
    ],
)
def test_a_file_with_a_mistake_counts_as_it_was_and_the_others_go_on(lab: Lab, text: str, mistake: str) -> None:
    lab.write("pods.yaml", pod_yaml("c", "10.0.0.3"), text)
    lab.write("more.yaml", pod_yaml("d", "10.0.0.4"))
    lab.settle()
    lab.settle()
    assert lab.pods == ["a", "b", "d"]
    (said,) = lab.new()
    assert said.startswith(f"{lab.path}/{mistake}")
    assert [str(problem) for problem in lab.source.problems] == [said]
    lab.write("pods.yaml", pod_yaml("c", "10.0.0.3"))
    lab.settle()
    assert (lab.pods, lab.source.problems, lab.said) == (["c", "d"], (), [])


def test_every_document_with_a_mistake_is_named(lab: Lab) -> None:
    lab.write("pods.yaml", pod_yaml("a", "x"), pod_yaml("b", "10.0.0.2"), pod_yaml("c", "y"))
    lab.settle()
    assert ["'x'" in said or "'y'" in said for said in lab.new()] == [True, True]


def test_a_file_that_is_being_written_never_makes_pods_vanish(lab: Lab) -> None:
    whole = documents(pod_yaml("a", "10.0.0.1"), pod_yaml("b", "10.0.0.2"))
    file = lab.path / "pods.yaml"
    for length in (*range(0, len(whole), 7), len(whole)):
        file.write_text(whole[:length])
        lab.source.poll_once()
        assert lab.pods == ["a", "b"]
    lab.settle()
    assert (len(lab.states), lab.said) == (1, [])


def test_a_file_that_is_left_half_written_never_makes_pods_vanish(lab: Lab) -> None:
    (lab.path / "pods.yaml").write_text(pod_yaml("a", "10.0.0.1") + "---\n" + pod_yaml("b", "10.0.0.2")[:-30])
    lab.settle()
    assert lab.pods == ["a", "b"]
    assert lab.new()[0].startswith(f"{lab.path}/pods.yaml:")


def test_an_empty_directory_is_waited_for_and_named_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for _ in range(4):
        lab.source.poll_once()
    assert lab.new() == [f"{tmp_path}: has no objects yet; the picker is not ready before there is an InferencePool"]
    assert lab.states == []
    lab.write("all.yaml", pool_yaml(), pod_yaml("a", "10.0.0.1"))
    lab.settle()
    assert (lab.pods, lab.said) == (["a"], [])


def test_a_directory_that_does_not_exist_yet_is_waited_for_and_named_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "later")
    for _ in range(4):
        lab.source.poll_once()
    assert lab.new() == [f"{tmp_path}/later: does not exist; the picker waits for it"]
    lab.path.mkdir()
    lab.write("all.yaml", pool_yaml(), pod_yaml("a", "10.0.0.1"))
    lab.settle()
    assert lab.pods == ["a"]


def test_a_single_file(tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(documents(pool_yaml(), pod_yaml("a", "10.0.0.1")))
    lab = Lab(file)
    lab.source.poll_once()
    assert lab.pods == ["a"]


def test_kinds_without_a_use_are_named_once(lab: Lab) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
    lab.write("service.yaml", service, service)
    lab.write("service-2.yaml", service)
    lab.settle()
    lab.write("service.yaml", "# moved\n" + service)
    lab.settle()
    assert len(lab.new()) == 1


def test_objects_without_a_namespace_belong_to_the_wanted_one(tmp_path: Path) -> None:
    lab = Lab(tmp_path, WantedPool(name="pool", namespace="team"))
    lab.write("all.yaml", pool_yaml(), pod_yaml("a", "10.0.0.1"), pod_yaml("b", "10.0.0.2", namespace="default"))
    lab.source.poll_once()
    assert lab.pods == ["a"]


def test_the_tutorials_objectives_work_with_a_notice(lab: Lab) -> None:
    lab.write(
        "objectives.yaml",
        objective_yaml("food-review", priority=10, group=None, api_version="inference.networking.k8s.io/v1alpha1"),
        objective_yaml(
            "llama3-base-model", priority=20, group=None, api_version="inference.networking.k8s.io/v1alpha1"
        ),
    )
    lab.settle()
    assert [objective.priority for objective in lab.states[-1].objectives] == [10, 20]
    assert [said.partition(": ")[0] for said in lab.new()] == [
        f"{lab.path}/objectives.yaml:1",
        f"{lab.path}/objectives.yaml:9",
    ]


async def test_run_polls_until_it_is_cancelled(tmp_path: Path) -> None:
    polls = asyncio.Queue[float]()

    async def sleep(seconds: float) -> None:
        await polls.put(seconds)
        await asyncio.sleep(0.001)

    states: list[ObjectState] = []
    lab = Lab(tmp_path)
    source = ObjectDirectory(
        tmp_path, lab, wanted=WantedPool(), on_problem=lambda _: None, on_notice=lambda _: None, sleep=sleep
    )
    task = asyncio.create_task(source.run())
    assert 0.25 <= await polls.get() <= 0.5
    lab.write("all.yaml", pool_yaml(), pod_yaml("a", "10.0.0.1"))
    await eventually(lambda: lab.states)
    assert lab.pods == ["a"]
    assert states == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
