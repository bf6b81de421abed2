"""`epp lora-sync` as a process beside a fake vLLM pod."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.settings import AdapterSource
from tests.support.lora_pod import HOST, QUICK, LoraPod, adapters, lora_pod

STATUS = "lora_syncer_adapter_status"
RECONCILES = "epp_lora_sync_reconciles_total"
WITHIN_S = 20.0


async def run(*words: str) -> tuple[int, str]:
    """Exit code and stderr of `epp <words>`; nothing goes to stdout, and no traceback anywhere."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "epp", *words, stdout=PIPE, stderr=PIPE)
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), WITHIN_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert stdout == b""
    assert b"Traceback" not in stderr
    assert process.returncode is not None
    return process.returncode, stderr.decode()


async def test_the_adapters_of_the_file_are_served(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.mount(adapters("test-adapter", "food"))
        syncer = await pod.sync()
        await syncer.until_ready()
        assert await pod.served() == {"test-adapter": "repo/test-adapter", "food": "repo/food"}
        status, text = await syncer.get("/metrics")
        assert status == 200
        assert 'lora_syncer_adapter_status{adapter_name="test-adapter"} 1.0\n' in text
        page = await syncer.metrics()
        assert page.value("epp_lora_sync_changes_total", {"operation": "load"}) == 2
        assert (page.value("epp_lora_sync_last_success_timestamp_seconds") or 0) > 1e9
        assert await syncer.get("/healthz") == (200, "ok\n")
        assert await syncer.end() == 0
        assert syncer.log[-1]["event"] == "stopped"


async def test_the_case_of_the_reference(tmp_path: Path) -> None:
    there = tuple(AdapterSource(name, f"repo/{name}") for name in ("already", "v2", "remove", "v3", "other"))
    async with lora_pod(tmp_path, adapters=there) as pod:
        pod.mount(adapters("v1", "v3", "already", not_exist=("v2", "v3", "remove")))
        syncer = await pod.sync()
        await syncer.until_ready()
        await pod.until_served("already", "v1", "v3", "other")
        await syncer.until_logged("in ensureExist and in ensureNotExist, so left as they are", "v3")
        page = await syncer.metrics()
        shown = {name: page.value(STATUS, {"adapter_name": name}) for name in page.label_values(STATUS, "adapter_name")}
        assert shown == {"v1": 1.0, "already": 1.0, "v2": 0.0, "remove": 0.0}
        changes = [
            page.value("epp_lora_sync_changes_total", {"operation": each}) for each in ("load", "unload", "replace")
        ]
        assert changes == [1, 2, 0]


async def test_a_swapped_config_map_counts_at_once(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.mount(adapters("food", "cad"))
        syncer = await pod.sync("--reconcile-trigger=3600")
        await syncer.until_ready()
        pod.mount(adapters("food", "new", not_exist=("cad",)))
        await pod.until_served("food", "new")
        pod.mount(adapters(food="repo/better"))
        await pod.until_served("new", food="repo/better")
        line = await syncer.until_logged("adapter replaced")
        assert (line["adapter"], line["because"]) == ("food", "it was loaded from 'repo/food'")


async def test_a_file_with_a_mistake_changes_nothing_and_is_named(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.mount(adapters("food"))
        syncer = await pod.sync(*QUICK)
        await syncer.until_ready()
        pod.mount("vLLMLoRAConfig:\n  ensureExist:\n    models:\n    - id: cad\n")
        line = await syncer.until_logged("configuration not taken over; the former one stays in force")
        expected = ":4: vLLMLoRAConfig.ensureExist.models[0]: the required field 'source' is missing"
        assert line["problem"] == f"{pod.config}{expected}"
        assert (await syncer.metrics()).value("epp_lora_sync_configuration_valid") == 0
        await pod.vllm.stop()
        await pod.vllm.start()
        await pod.until_served("food")

        pod.mount(adapters("food", "cad"))
        await pod.until_served("food", "cad")
        assert (await syncer.metrics()).value("epp_lora_sync_configuration_valid") == 1


async def test_a_restarted_model_server_gets_its_adapters_back(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.mount(adapters("food", "cad"))
        syncer = await pod.sync(*QUICK)
        await syncer.until_ready()
        await pod.vllm.stop()
        await syncer.until_logged("waiting for the model server")
        await pod.vllm.start()
        await pod.until_served("food", "cad")


async def test_a_model_server_that_comes_later(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.vllm.inject(Faults(health=503))
        pod.mount(adapters("food"))
        syncer = await pod.sync("--health-check-interval=0.05")
        line = await syncer.until_logged("waiting for the model server")
        assert line["problem"] == f"{pod.vllm.url}/health: HTTP status 503"
        status, text = await syncer.get("/readyz")
        assert (status, text.partition(":")[0]) == (503, "not ready")
        assert await pod.served() == {}
        pod.vllm.inject(Faults())
        await syncer.until_ready()
        assert await pod.served() == {"food": "repo/food"}


async def test_a_file_that_comes_later(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        syncer = await pod.sync()
        await syncer.until_logged("no configuration yet; waiting for a good one", f"{pod.config} is not there yet")
        assert f"{pod.config} is not there yet" in (await syncer.get("/readyz"))[1]
        pod.mount(adapters("food"))
        await pod.until_served("food")


async def test_a_load_that_fails_is_named_and_tried_again(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.vllm.inject(Faults(missing_sources=("repo/cad",)))
        pod.mount(adapters("cad", "food"))
        syncer = await pod.sync("--reconcile-trigger=3600")
        line = await syncer.until_logged("adapter cannot be loaded")
        words = "Loading lora cad failed: No adapter found for repo/cad"
        assert (line["adapter"], line["problem"].endswith(f"HTTP status 404: {words}")) == ("cad", True)
        await pod.until_served("food")
        assert words in (await syncer.get("/readyz"))[1]
        assert (await syncer.metrics()).value(STATUS, {"adapter_name": "cad"}) == 0
        pod.vllm.inject(Faults())
        await pod.until_served("food", "cad")
        assert [line["event"] for line in syncer.log].count("adapter cannot be loaded") == 1


async def test_a_silent_model_server_does_not_hold_it(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.vllm.inject(Faults(adapters="silent"))
        pod.mount(adapters("food"))
        syncer = await pod.sync("--load-timeout=0.1")
        await syncer.until_logged("adapter cannot be loaded", "no answer within 0.1 s")
        pod.vllm.inject(Faults())
        await pod.until_served("food")


async def test_another_source_of_somebody_else_is_replaced(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        await pod.load("food", "/their/food")
        pod.mount(adapters("food"))
        syncer = await pod.sync(*QUICK)
        await pod.until_served("food")
        line = await syncer.until_logged("adapter replaced")
        assert line["because"] == "somebody else loaded it from '/their/food'"


async def test_a_server_that_refuses_to_load_at_run_time_is_explained(tmp_path: Path) -> None:
    async with lora_pod(tmp_path, runtime_lora_updating=False) as pod:
        pod.mount(adapters("food"))
        syncer = await pod.sync()
        await syncer.until_logged("adapter cannot be loaded", "VLLM_ALLOW_RUNTIME_LORA_UPDATING=true")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_once_in_the_middle_of_a_load(tmp_path: Path, number: signal.Signals) -> None:
    async with lora_pod(tmp_path) as pod:
        pod.vllm.inject(Faults(adapters="silent"))
        pod.mount(adapters("food"))
        syncer = await pod.sync("-v", "3")
        await syncer.until_logged("configuration taken over")
        assert await syncer.end(number) == 0


async def test_once_does_it_and_ends(tmp_path: Path) -> None:
    async with lora_pod(tmp_path, adapters=(AdapterSource("cad", "repo/cad"),)) as pod:
        pod.mount(adapters("food", not_exist=("cad",)))
        for _ in range(2):
            code, text = await run(*pod.words("--once"))
            assert code == 0, text
            assert await pod.served() == {"food": "repo/food"}


async def failed_once(pod: LoraPod, *flags: str) -> list[str]:
    """The complaints of a `--once` that ends with 1."""
    code, text = await run(*pod.words("--once", "-v", "0", "--health-check-interval=0.05", *flags))
    assert code == 1
    lines = [line for line in text.splitlines() if not line.startswith("{")]
    assert lines[0].startswith("epp lora-sync: ")
    return [lines[0].removeprefix("epp lora-sync: "), *lines[1:]]


async def test_once_says_what_is_not_as_wished(tmp_path: Path) -> None:
    async with lora_pod(tmp_path) as pod:
        assert await failed_once(pod) == [f"{pod.config}: cannot be read: No such file or directory"]
        pod.mount("vLLMLoRAConfig:\n  port: none\n")
        assert await failed_once(pod) == [f"{pod.config}:2: vLLMLoRAConfig.port: expected int, got str"]
        pod.mount(adapters("food", "cad"))
        pod.vllm.inject(Faults(health=503))
        assert await failed_once(pod, "--health-check-timeout=0") == [f"{pod.vllm.url}/health: HTTP status 503"]
        pod.vllm.inject(Faults(missing_sources=("repo/cad",)))
        (complaint,) = await failed_once(pod)
        assert complaint.startswith("cad: adapter cannot be loaded: ")
        assert await pod.served() == {"food": "repo/food"}


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        code, text = await run("lora-sync", f"--metrics-address={HOST}", f"--metrics-port={port}")
    assert code == 1
    start = f"epp lora-sync: --metrics-port: cannot listen on {HOST} port {port}: address already in use"
    assert text.splitlines()[-1].startswith(start)
