"""Five hundred pods come, change and go while the picker looks on: nothing is missed, and nothing is listed twice."""

import asyncio
import gc
from pathlib import Path
from random import Random

import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.kube_objects import NAMESPACE, Followed, followed, install_crds, pod, pool, set_ready

PODS = 500


class Crowd:
    """Pods of which the test knows which are ready."""

    def __init__(self, api: KubeApi, seed: int) -> None:
        self._api = api
        self._random = Random(seed)
        self._names = [f"vllm-{number}" for number in range(PODS)]
        self.ready: dict[str, str] = {}
        self.unready: set[str] = set()

    def address(self, name: str) -> str:
        number = int(name.removeprefix("vllm-"))
        return f"10.1.{number // 250}.{number % 250 + 1}"

    def step(self) -> None:
        """Something happens to one of them."""
        name = self._random.choice(self._names)
        if name not in self.ready and name not in self.unready:
            self._api.objects.create(pod(name, self.address(name)))
            self.ready[name] = f"{self.address(name)}:8000"
        elif self._random.random() < 0.4:
            self._api.objects.delete("v1", "Pod", NAMESPACE, name, grace_s=0)
            self.ready.pop(name, None)
            self.unready.discard(name)
        elif name in self.ready:
            set_ready(self._api, name, "False")
            del self.ready[name]
            self.unready.add(name)
        else:
            set_ready(self._api, name, "True")
            self.unready.discard(name)
            self.ready[name] = f"{self.address(name)}:8000"


async def until_right(seen: Followed, crowd: Crowd) -> None:
    await seen.until(lambda _: seen.destinations == sorted(crowd.ready.values()), within_s=20.0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_picture_is_right_at_the_end_without_a_second_list(tmp_path: Path, seed: int) -> None:
    async with KubeApi(KubeApiSettings(seed=1)) as api:
        install_crds(api)
        api.objects.create(pool())
        crowd = Crowd(api, seed)
        async with followed(api, tmp_path) as seen:
            await seen.until(lambda state: state.pool is not None)
            for number in range(3 * PODS):
                crowd.step()
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await until_right(seen, crowd)
            assert api.audit.count("list", "pods") == 1
            assert len(seen.states) < PODS, "changes in quick succession are one state"


# A connection that is in its handshake while the server within this process is killed is nobody's to close.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_connections_that_are_cut_and_versions_that_are_forgotten(tmp_path: Path) -> None:
    async with KubeApi(KubeApiSettings(seed=1)) as api:
        install_crds(api)
        api.objects.create(pool())
        crowd = Crowd(api, 3)
        async with followed(api, tmp_path) as seen:
            await seen.until(lambda state: state.pool is not None)
            for number in range(900):
                crowd.step()
                if number % 300 == 100:
                    await api.kill()
                    await api.start()
                if number % 300 == 200:
                    api.compact()
                    await api.restart()
                if number % 10 == 0:
                    await asyncio.sleep(0)
            await until_right(seen, crowd)
            await seen.until_no_problem()
            assert seen.source.stale_s == 0.0
    gc.collect()  # so that no later test is blamed for such a connection
