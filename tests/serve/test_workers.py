"""`epp serve --workers 2`: a control process and two picker processes, seen from outside."""

import asyncio
import os
import signal
import ssl
from pathlib import Path

import grpc
import msgspec
import pytest

from epp.core.protocol.events import BodyMode
from epp.core.state.in_flight_rows import REFRESH_S
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.metric_pods import MetricPods, metric_pods
from tests.support.served_picker import ServedPicker, served_picker

BODY = b'{"model":"m","prompt":"hello"}'
TWO = ("--workers=2", "--transport=native")
HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
PAIRS = 10
"""by its own books alone a picker would choose as it should in one of a thousand runs"""
LONG = '{"model":"m","prompt":"%s"}'


async def until_ready(picker: ServedPicker, pods: MetricPods) -> None:
    picker.write("pods.yaml", pods.pods_yaml())
    picker.write("pool.yaml", pods.pool_yaml())
    await picker.until_ready()
    await picker.until_endpoints(*pods.destinations)


def pids(picker: ServedPicker) -> dict[int, int]:
    """Of the picker processes by number, the newest of each."""
    return {line["picker"]: line["pid"] for line in picker.logged("picker process serves")}


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


async def decided(picker: ServedPicker) -> list[int]:
    """Which picker took each decision, the newest first."""
    _, text = await picker.get("/debug/decisions?limit=1000")
    return [row["picker"] for row in msgspec.json.decode(text)]


async def until_metric(picker: ServedPicker, name: str, value: float) -> None:
    async def shows() -> bool:
        return await picker.pages.metric(name) == value

    await picker.until(shows, f"{name} is {value:g}", within_s=10.0)


async def test_connections_are_spread_and_what_both_count_is_on_one_page(tmp_path: Path) -> None:
    async with metric_pods(3) as pods, served_picker(tmp_path, *TWO) as picker:
        await until_ready(picker, pods)
        async with ExtProcClient(picker.ports.grpc_port) as one, ExtProcClient(picker.ports.grpc_port) as other:
            open_requests = []
            for envoy in (one, other, one, other):
                request = envoy.request(BodyMode.BUFFERED)
                forwarded = await request.send(BODY)
                assert forwarded.destination in pods.destinations
                open_requests.append((request, forwarded))
            assert sorted(await decided(picker)) == [0, 0, 1, 1]
            assert await picker.pages.metric("epp_in_flight_requests") == 4
            assert await picker.pages.metric("epp_reservations_open") == 4
            assert await picker.pages.metric("epp_streams_open") == 4
            assert await picker.pages.metric("epp_requests_read_total") == 4
            assert await picker.pages.metric("epp_picker_processes_serving") == 2
            for request, forwarded in open_requests:
                await request.answered(served=forwarded.destination)
                request.reset()
            await until_metric(picker, "epp_in_flight_requests", 0)
            assert await picker.pages.metric("inference_objective_request_total") == 4
            assert await picker.pages.metric("inference_objective_request_duration_seconds_count") == 4
            assert await picker.pages.metric("inference_objective_running_requests") == 0


async def test_each_picker_sees_what_the_other_has_in_flight(tmp_path: Path) -> None:
    config = f"{HEAD}plugins: [{{type: active-request-scorer}}]\n"
    async with metric_pods(2) as pods, served_picker(tmp_path, *TWO, f"--config-text={config}") as picker:
        await until_ready(picker, pods)
        async with ExtProcClient(picker.ports.grpc_port) as one, ExtProcClient(picker.ports.grpc_port) as other:
            for _ in range(PAIRS):
                busier = (await one.request(BodyMode.BUFFERED).send(BODY)).destination
                await asyncio.sleep(REFRESH_S)  # what others have in flight may be known as of so long ago
                assert (await other.request(BodyMode.BUFFERED).send(BODY)).destination != busier
                await asyncio.sleep(REFRESH_S)
            assert sorted(await decided(picker)) == [0] * PAIRS + [1] * PAIRS


async def test_a_prompt_that_one_picker_sent_is_known_to_the_other(tmp_path: Path) -> None:
    config = f"{HEAD}plugins: [{{type: prefix-cache-scorer}}]\n"
    flags = (*TWO, "--worker-ports", f"--config-text={config}")
    async with metric_pods(5) as pods, served_picker(tmp_path, *flags) as picker:
        await until_ready(picker, pods)
        first, second = picker.ports.picker_ports
        async with ExtProcClient(first) as one, ExtProcClient(second) as other:
            for name in "abcdef":
                body = (LONG % (name * 4000)).encode()
                request = one.request(BodyMode.BUFFERED)
                destination = (await request.send(body)).destination
                request.reset()
                await until_both_have(picker, other, body, destination)
        assert set(await decided(picker)) == {0, 1}


async def until_both_have(picker: ServedPicker, other: ExtProcClient, body: bytes, destination: str) -> None:
    """The other picker sends the same prompt to where it went first, within the time that a batch takes."""

    async def follows() -> bool:
        request = other.request(BodyMode.BUFFERED)
        found = (await request.send(body)).destination
        request.reset()
        return found == destination

    await picker.until(follows, f"the prompt goes to {destination}")


async def test_a_killed_picker_comes_back_and_nothing_of_it_stays_in_the_books(tmp_path: Path) -> None:
    async with metric_pods(2) as pods, served_picker(tmp_path, *TWO) as picker:
        await until_ready(picker, pods)
        async with ExtProcClient(picker.ports.grpc_port) as one, ExtProcClient(picker.ports.grpc_port) as other:
            for envoy in (one, other):
                await envoy.request(BodyMode.BUFFERED).send(BODY)
            assert await picker.pages.metric("epp_in_flight_requests") == 2
            before = pids(picker)
            os.kill(before[1], signal.SIGKILL)
            await until_metric(picker, "epp_in_flight_requests", 1)
            await until_metric(picker, "epp_picker_processes_serving", 2)
            assert await picker.pages.metric("epp_picker_process_restarts_total") == 1
            assert await picker.pages.metric("epp_requests_read_total") == 2, "the dead one had told its counts"
            after = pids(picker)
            assert after[0] == before[0]
            assert after[1] != before[1]
            (line,) = picker.logged("picker process ended; it is started anew")
            assert (line["picker"], line["exit_code"]) == (1, -9)
        async with ExtProcClient(picker.ports.grpc_port) as one, ExtProcClient(picker.ports.grpc_port) as other:
            for envoy in (one, other):
                request = envoy.request(BodyMode.BUFFERED)
                assert (await request.send(BODY)).destination in pods.destinations


async def test_a_picker_that_comes_back_knows_who_could_not_be_reached(tmp_path: Path) -> None:
    async with metric_pods(2) as pods, served_picker(tmp_path, *TWO, "--worker-ports") as picker:
        pods.waiting[pods.hosts[1]] = 100
        await until_ready(picker, pods)
        quick, slow = pods.destinations

        async def pick(port: int, served: str = "") -> str:
            async with ExtProcClient(port) as envoy:
                request = envoy.request(BodyMode.BUFFERED)
                destination = (await request.send(BODY)).destination
                await request.answered(served=served or destination)
                request.reset()
                return destination

        first, second = picker.ports.picker_ports

        async def prefers_the_quick_one() -> bool:
            return await pick(first) == quick

        async def is_known_to_the_new_one() -> bool:
            await picker.until(prefers_the_quick_one, "the quick pod is taken again")
            for _ in range(2):
                if await pick(first, served=slow) != quick:
                    return False
            serving = len(picker.logged("picker process serves"))
            os.kill(pids(picker)[1], signal.SIGKILL)
            await eventually(lambda: len(picker.logged("picker process serves")) == serving + 1)
            found = await pick(second)
            if await picker.pages.metric("epp_cooling_endpoints") != 1:
                return False  # it took so long that the cool-down was over
            assert found == slow
            assert (await decided(picker))[0] == 1
            return True

        await picker.until(is_known_to_the_new_one, "picked by a new picker during a cool-down", within_s=60.0)


async def test_the_port_of_a_dead_picker_is_served_by_another_until_it_is_back(tmp_path: Path) -> None:
    async with metric_pods(1) as pods, served_picker(tmp_path, *TWO, "--worker-ports") as picker:
        await until_ready(picker, pods)
        first, second = picker.ports.picker_ports
        assert first == picker.ports.grpc_port
        os.kill(pids(picker)[1], signal.SIGKILL)
        await until_metric(picker, "epp_picker_processes_serving", 1)
        async with ExtProcClient(second) as envoy:
            guest = envoy.request(BodyMode.BUFFERED)
            await guest.send(BODY)
            assert (await decided(picker))[0] == 0
            await until_metric(picker, "epp_picker_processes_serving", 2)

            async def is_home() -> bool:
                request = envoy.request(BodyMode.BUFFERED)
                await request.send(BODY)
                request.reset()
                return (await decided(picker))[0] == 1

            await picker.until(is_home, "the proxy comes anew, to the picker that it asked for")
            await guest.answered(served=pods.destinations[0])


async def test_with_the_grpc_library_each_picker_listens_and_comes_back_on_its_port(tmp_path: Path) -> None:
    flags = ("--workers=2", "--transport=grpcio", "--worker-ports")
    async with metric_pods(1) as pods, served_picker(tmp_path, *flags) as picker:
        await until_ready(picker, pods)
        os.kill(pids(picker)[1], signal.SIGKILL)
        await until_metric(picker, "epp_picker_process_restarts_total", 1)
        await until_metric(picker, "epp_picker_processes_serving", 2)
        for number, port in enumerate(picker.ports.picker_ports):
            async with ExtProcClient(port) as envoy:
                await envoy.request(BodyMode.BUFFERED).send(BODY)
                assert (await decided(picker))[0] == number


async def test_pickers_end_when_the_control_process_is_killed(tmp_path: Path) -> None:
    async with metric_pods(1) as pods, served_picker(tmp_path, *TWO) as picker:
        await until_ready(picker, pods)
        children = list(pids(picker).values())
        assert all(map(is_alive, children))
        picker.signal(signal.SIGKILL)
        await eventually(lambda: not any(map(is_alive, children)), what="the pickers have ended")


async def test_a_changed_configuration_reaches_every_picker(tmp_path: Path) -> None:
    config = tmp_path / "epp.yaml"
    config.write_text(f"{HEAD}plugins: [{{type: queue-scorer}}]\n")
    flags = (*TWO, "--worker-ports", f"--config-file={config}")
    async with metric_pods(2) as pods, served_picker(tmp_path, *flags) as picker:
        await until_ready(picker, pods)
        config.write_text(f"{HEAD}plugins: [{{type: header-based-testing-filter}}, {{type: queue-scorer}}]\n")
        for port in picker.ports.picker_ports:
            async with ExtProcClient(port) as envoy:

                async def refuses(envoy: ExtProcClient = envoy) -> bool:
                    request = envoy.request(BodyMode.BUFFERED)
                    try:
                        await request.send(BODY)
                    except Refused:
                        return True
                    finally:
                        request.reset()
                    return False

                await picker.until(refuses, f"port {port} goes by the new policy")
        os.kill(pids(picker)[0], signal.SIGKILL)
        await until_metric(picker, "epp_picker_process_restarts_total", 1)
        await until_metric(picker, "epp_picker_processes_serving", 2)
        async with ExtProcClient(picker.ports.picker_ports[0]) as envoy:
            with pytest.raises(Refused):
                await envoy.request(BodyMode.BUFFERED).send(BODY)


async def test_a_drain_ends_streams_and_every_process_with_0(tmp_path: Path) -> None:
    async with metric_pods(1) as pods, served_picker(tmp_path, *TWO, "--drain-timeout=60s") as picker:
        await until_ready(picker, pods)
        children = list(pids(picker).values())
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            before = envoy.request(BodyMode.BUFFERED)
            forwarded = await before.send(BODY)
            picker.signal()

            async def is_unready() -> bool:
                return await picker.health() == "NOT_SERVING"

            await picker.until(is_unready, "health turns at once")
            during = envoy.request(BodyMode.BUFFERED)
            await during.send(BODY)
            await before.answered(served=forwarded.destination)
            await during.answered(served=forwarded.destination)
            picker.signal()
            assert await picker.ended(within_s=15.0) == 0
            assert await before.stream.status() is grpc.StatusCode.OK
        assert not any(map(is_alive, children))
    assert not picker.logged("picker process ended; it is started anew")


async def test_what_a_picker_finds_wrong_at_its_start_ends_everything_and_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "certificates"
    with pytest.raises(Exception, match="a picker process did not start") as refusal:
        async with served_picker(tmp_path, *TWO, "--secure-serving=true", f"--cert-path={nowhere}"):
            pass
    assert "exit code 1" in str(refusal.value)
    assert f"{nowhere}/tls.key: cannot be read" in str(refusal.value)
    assert "Traceback" not in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("featureGates: [flowControl]\n", "feature gate flowControl"),
        (
            "plugins: [{type: session-affinity-scorer, name: bonds, parameters: {strategy: session_id}}]\n",
            "plugin 'bonds' remembers sessions by their id",
        ),
    ],
    ids=["flow-control", "sessions"],
)
async def test_what_needs_one_picker_is_refused_with_two_and_not_with_one(
    tmp_path: Path, config: str, says: str
) -> None:
    path = tmp_path / "epp.yaml"
    path.write_text(HEAD + config)
    with pytest.raises(Exception, match=says) as refusal:
        async with served_picker(tmp_path, *TWO, f"--config-file={path}"):
            pass
    assert "--workers: " in str(refusal.value)
    one = ("--workers=1", "--transport=native", f"--config-file={path}")
    async with metric_pods(1) as pods, served_picker(tmp_path, *one) as picker:
        await until_ready(picker, pods)
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            await envoy.request(BodyMode.BUFFERED).send(BODY)


async def test_a_client_that_does_not_speak_tls_is_turned_away_and_costs_nothing(tmp_path: Path) -> None:
    async with metric_pods(1) as pods, served_picker(tmp_path, *TWO, "--secure-serving=true") as picker:
        await until_ready(picker, pods)
        port = picker.ports.grpc_port
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            await reader.read(100)
            assert await reader.read(100) == b"", "the connection is closed"
            writer.close()
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            settings = await reader.readexactly(9)
            assert settings[3] == 4, "a SETTINGS frame comes first"
            writer.transport.abort()
        assert await picker.pages.metric("epp_picker_process_restarts_total") == 0
