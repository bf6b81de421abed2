"""The objects of a local stack are what the picker reads."""

import itertools
from pathlib import Path
from random import Random

import yaml

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectState
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.findings import Notice
from epp.edge.objects.object_store import WantedPool
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.object_home import DirectoryHome
from epp.lab.plan import ADAPTERS, BASE_MODEL, POOL_NAME
from epp.lab.pool_files import OBJECTIVES, Manifest, pod_manifest, stack_manifests, write_manifests
from epp.lab.traffic import sample_requests

PODS = (ReadyPod("vllm-0", "127.0.0.11", 8123), ReadyPod("vllm-1", "127.0.0.12", 8123))


def loaded(directory: Path) -> ObjectState:
    """The state that the files make; they are without fault."""
    states: list[ObjectState] = []
    findings: list[InvalidInput | Notice] = []

    class Sink:
        def objects_changed(self, state: ObjectState) -> None:
            states.append(state)

    ObjectDirectory(
        directory, Sink(), wanted=WantedPool(), on_problem=findings.append, on_notice=findings.append
    ).poll_once()
    assert findings == []
    (state,) = states
    return state


async def written(directory: Path, *manifests: Manifest) -> None:
    home = DirectoryHome(directory)
    await home.start()
    await home.put(*manifests)


async def test_pods_have_the_roles_that_are_given(tmp_path: Path) -> None:
    await written(tmp_path, *stack_manifests(PODS, ["prefill"]))
    assert [each.labels.get("llm-d.ai/role") for each in loaded(tmp_path).endpoints] == ["prefill", None]


async def test_the_picker_reads_pool_pods_and_objectives_without_complaint(tmp_path: Path) -> None:
    await written(tmp_path / "objects", *stack_manifests(PODS))
    state = loaded(tmp_path / "objects")

    assert state.pool is not None
    assert (state.pool.name, state.pool.target_ports) == (POOL_NAME, (8123,))
    assert [(each.pod, each.destination) for each in state.endpoints] == [
        ("vllm-0", "127.0.0.11:8123"),
        ("vllm-1", "127.0.0.12:8123"),
    ]
    assert {each.name: each.priority for each in state.objectives} == OBJECTIVES


async def test_servers_beside_the_pods_may_be_the_pool(tmp_path: Path) -> None:
    await written(tmp_path, *stack_manifests(PODS, port=50051, app_protocol="kubernetes.io/h2c"))
    state = loaded(tmp_path)
    assert state.pool is not None
    assert (state.pool.target_ports, state.pool.app_protocol) == ((50051,), "kubernetes.io/h2c")
    assert [each.destination for each in state.endpoints] == ["127.0.0.11:50051", "127.0.0.12:50051"]


async def test_a_pod_that_is_not_ready_is_no_endpoint(tmp_path: Path) -> None:
    await written(tmp_path, *stack_manifests(PODS), pod_manifest(PODS[1], ready=False))
    assert [each.pod for each in loaded(tmp_path).endpoints] == ["vllm-0"]


def test_objectives_are_named_as_the_traffic_names_them() -> None:
    named = {request.objective for request in itertools.islice(sample_requests(Random(1)), 30)}
    assert named - {""} <= OBJECTIVES.keys()
    assert OBJECTIVES.keys() & {BASE_MODEL, *ADAPTERS}, "one is found by the name of the model alone"


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "pods.yaml"
    for pods in (PODS[:1], PODS):
        write_manifests(path, [pod_manifest(pod) for pod in pods])
        assert [each["metadata"]["name"] for each in yaml.safe_load_all(path.read_text())] == [pod.name for pod in pods]
    assert [each.name for each in tmp_path.iterdir()] == ["pods.yaml"]
