"""`epp serve` in a cluster: readiness, pages behind the API server's word, selectors, and who leads."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme

from epp.core.domain.pool import POOL_GROUP
from epp.core.protocol.events import BodyMode
from epp.lab.kube_api.server import KubeApi
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.kube_api import api  # noqa: F401  a fixture
from tests.support.kube_objects import NAMESPACE, install_crds, pod, pool
from tests.support.pairs import NAME, write_pair
from tests.support.served_picker import HOST, ServedPicker, served_picker

BODY = b'{"model":"m","prompt":"hello"}'
POD = "127.0.0.2:8000"
METRICS_READER = "metrics-reader"
OPEN = "--metrics-endpoint-auth=false"


@pytest.fixture
def cluster(api: KubeApi) -> KubeApi:  # noqa: F811  the fixture
    install_crds(api)
    api.objects.create(pool())
    api.objects.create(pod("a", "127.0.0.2"))
    return api


@asynccontextmanager
async def picker_of(api: KubeApi, folder: Path, *flags: str) -> AsyncIterator[ServedPicker]:  # noqa: F811
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240  once, in a test
    kubeconfig = api.kubeconfig(folder / "kubeconfig")
    words = (f"--kubeconfig={kubeconfig}", f"--metrics-bind-address={HOST}", *flags)
    async with served_picker(folder, *words, objects=False) as picker:
        yield picker


def may_read(api: KubeApi, user: str) -> None:  # noqa: F811
    """As the first tutorial does it."""
    reader = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": METRICS_READER}}
    api.objects.apply(reader | {"kind": "ClusterRole", "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": METRICS_READER}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    api.objects.apply(reader | {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})


async def page(picker: ServedPicker, path: str, token: str = "", tls: ssl.SSLContext | None = None) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{'https' if tls else 'http'}://{HOST}:{picker.ports.metrics_port}{path}"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, ssl=tls or True, server_hostname=NAME if tls else None) as response,
    ):
        return response.status, await response.text()


async def until_serving(picker: ServedPicker, service: str = "readiness") -> None:
    async def is_serving() -> bool:
        return await picker.health(service) == "SERVING"

    await picker.until(is_serving, "the pool is there", within_s=15.0)


async def test_a_pool_is_served_until_it_is_deleted(cluster: KubeApi, tmp_path: Path) -> None:
    async with picker_of(cluster, tmp_path, "--pool-name=pool", OPEN) as picker:
        await until_serving(picker)
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            request = envoy.request(BodyMode.BUFFERED)
            assert (await request.send(BODY)).destination == POD
            request.reset()

            cluster.objects.delete(f"{POOL_GROUP}/v1", "InferencePool", NAMESPACE, "pool")

            async def is_unready() -> bool:
                return await picker.health() == "NOT_SERVING"

            await picker.until(is_unready, "the pool has gone")
            assert await picker.health("liveness") == "SERVING"
            with pytest.raises(Refused) as refused:
                await envoy.request(BodyMode.BUFFERED).send(BODY)
            assert refused.value.status == 503
            status, text = await picker.get("/readyz")
            assert status == 503
            assert "no InferencePool (pool) read yet from the API server" in text


async def test_a_server_that_is_down_is_waited_for(cluster: KubeApi, tmp_path: Path) -> None:
    await cluster.stop()
    async with picker_of(cluster, tmp_path, "--pool-name=pool", OPEN) as picker:

        async def says_why() -> bool:
            status, text = await picker.get("/readyz")
            return status == 503 and "cannot be asked" in text

        await picker.until(says_why, "the reason is told")
        assert await picker.health("liveness") == "SERVING"
        await cluster.start()
        await until_serving(picker)
        (line,) = picker.logged("object not taken over")
        assert f"API server: {cluster.url} cannot be asked" in line["problem"], "and said once"


async def test_pages_ask_the_api_server_who_may_read_them(cluster: KubeApi, tmp_path: Path) -> None:
    may_read(cluster, "scraper")
    scraper, stranger = cluster.token("scraper"), cluster.token("stranger")
    async with picker_of(cluster, tmp_path, "--pool-name=pool") as picker:
        await until_serving(picker)
        status, text = await page(picker, "/metrics", scraper)
        assert status == 200
        assert "inference_pool_ready_pods" in text
        assert (await page(picker, "/metrics"))[0] == 401
        assert (await page(picker, "/metrics", "nonsense"))[0] == 401
        status, text = await page(picker, "/metrics", stranger)
        assert status == 403
        assert "user stranger may not get /metrics" in text
        assert (await page(picker, "/debug/decisions", scraper))[0] == 403, "the role has /metrics only"
        assert (await page(picker, "/debug/decisions", cluster.admin_token))[0] == 200
        assert (await page(picker, "/healthz"))[0] == (await page(picker, "/readyz"))[0] == 200
        asked = cluster.audit.count("create", "tokenreviews.authentication.k8s.io")
        for _ in range(5):
            await page(picker, "/metrics", scraper)
        assert cluster.audit.count("create", "tokenreviews.authentication.k8s.io") == asked, "answers are remembered"


async def test_the_metrics_port_speaks_tls_and_asks_for_certificates_of_clients(
    cluster: KubeApi, tmp_path: Path
) -> None:
    ca, tls = trustme.CA(), tmp_path / "tls"
    tls.mkdir()
    write_pair(ca, tls)
    authority = tmp_path / "clients.crt"
    ca.cert_pem.write_to_path(authority)
    flags = ("--pool-name=pool", OPEN, f"--metrics-cert-dir={tls}", f"--metrics-client-ca-file={authority}")
    async with picker_of(cluster, tmp_path, *flags) as picker:
        await until_serving(picker)
        client = ssl.create_default_context()
        ca.configure_trust(client)
        with pytest.raises(aiohttp.ClientError):
            await page(picker, "/metrics", tls=client)
        ca.issue_cert("scraper").configure_cert(client)
        status, text = await page(picker, "/metrics", tls=client)
        assert status == 200
        assert "epp_objects_stale_seconds 0" in text


async def test_pods_by_a_selector(cluster: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "standalone-epp-5f7c9d8b6-x2x9k")
    flags = ("--endpoint-selector=app in (vllm)", "--endpoint-target-ports=8000", OPEN)
    async with picker_of(cluster, tmp_path, *flags) as picker:
        await until_serving(picker)
        assert await picker.destinations() == [POD]
        assert 'inference_pool_ready_pods{name="standalone-epp"} 1' in (await picker.get("/metrics"))[1]


async def test_a_selector_without_the_name_of_the_pod_is_refused(cluster: KubeApi, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"--endpoint-selector: the pool is named after .* set \$POD_NAME"):
        async with picker_of(cluster, tmp_path, "--endpoint-selector=app=x", "--endpoint-target-ports=8000"):
            pass


async def test_of_two_replicas_one_is_ready_and_the_other_follows_it(cluster: KubeApi, tmp_path: Path) -> None:
    flags = ("--pool-name=pool", "--ha-enable-leader-election", OPEN)
    async with (
        picker_of(cluster, tmp_path / "one", *flags, "--drain-timeout=20s") as first,
        picker_of(cluster, tmp_path / "two", *flags) as second,
    ):
        await until_serving(first)
        await second.until_endpoints(POD)
        assert await second.health() == "NOT_SERVING"
        assert await second.health("liveness") == "SERVING"
        assert "a standby: " in (await second.get("/readyz"))[1]
        async with ExtProcClient(second.ports.grpc_port) as envoy:
            request = envoy.request(BodyMode.BUFFERED)
            assert (await request.send(BODY)).destination == POD, "a stray request is served"
            request.reset()

        clock = asyncio.get_running_loop().time
        asked_at = clock()
        first.signal()
        await until_serving(second)
        assert clock() - asked_at < 10.0, "a lease that is given back is not waited for"
        assert await first.health() == "NOT_SERVING"
        async with ExtProcClient(first.ports.grpc_port) as envoy:
            request = envoy.request(BodyMode.BUFFERED)
            assert (await request.send(BODY)).destination == POD, "and serves on while it drains"
            request.reset()
        first.signal()
        assert await first.ended() == 0
    (lease,) = cluster.objects.list("coordination.k8s.io/v1", "Lease", NAMESPACE)
    assert lease["metadata"]["name"] == "epp-default-pool.gateway-api-inference-extension.sigs.k8s.io"
    assert lease["spec"]["leaseTransitions"] >= 1
