import pytest

from epp.lab.kube_api.tables import age_of
from tests.support.kube_api import PODS, KubeClient, pod

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
START_S = 1_700_000_000


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        *((0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (600, "10m"), (3599, "59m"), (7200, "120m")),
        *((10_860, "3h1m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (-5, "0s")),
    ],
)
def test_ages(seconds: int, age: str) -> None:
    assert age_of("2023-11-14T22:13:20Z", START_S + seconds) == age


def test_no_age() -> None:
    assert age_of(None, START_S) == "<unknown>"


async def test_a_table_of_pods(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a"))
    statuses = [{"name": "vllm", "ready": True, "restartCount": 2}]
    await kube.merge(f"{PODS}/a/status", {"status": {"phase": "Running", "containerStatuses": statuses}})
    _, table = await kube.ask("GET", PODS, accept=TABLE)
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Ready", "Status", "Restarts", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["a", "1/1", "Running", 2]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    _, table = await kube.ask("GET", f"{PODS}/a", accept=TABLE, includeObject="Object")
    assert table["rows"][0]["object"]["kind"] == "Pod"


async def test_metadata_alone(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a"))
    _, listed = await kube.ask("GET", PODS, accept=METADATA)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_forms_that_nobody_serves(kube: KubeClient) -> None:
    assert (await kube.ask("GET", PODS, accept="text/html"))[0] == 406
    assert (await kube.ask("GET", PODS, accept="application/vnd.kubernetes.protobuf"))[0] == 406
    assert (await kube.ask("GET", PODS, accept="application/vnd.kubernetes.protobuf, application/json"))[0] == 200
    assert (await kube.ask("GET", PODS, accept=TABLE, includeObject="Some"))[0] == 400
