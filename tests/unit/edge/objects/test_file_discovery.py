"""file-discovery: the file's format, host names, changes."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import ObjectState
from epp.edge.objects.file_discovery import FileDiscovery, resolve_host
from tests.support.virtual_clock import VirtualClock

FILE = """\
endpoints:
- name: a
  namespace: team
  address: 10.0.0.1
  port: "8000"
  labels: {app: vllm}
- name: b
  address: "FD00::0001"
  port: 8001
"""


class Lab:
    def __init__(self, path: Path, *, watch_file: bool = True) -> None:
        self.path = path / "endpoints.yaml"
        self.clock = VirtualClock()
        self.names: dict[str, Sequence[str] | OSError | None] = {}
        self.lookups: list[str] = []
        self.states: list[ObjectState] = []
        self.said: list[str] = []
        self.source = FileDiscovery(
            self.path,
            self,
            watch_file=watch_file,
            on_problem=lambda problem: self.said.append(str(problem)),
            on_notice=lambda notice: self.said.append(str(notice)),
            resolve=self.resolve,
            sleep=self.clock.sleep,
        )

    def objects_changed(self, state: ObjectState) -> None:
        self.states.append(state)

    async def resolve(self, host: str) -> Sequence[str]:
        self.lookups.append(host)
        found = self.names[host]
        if found is None:
            await self.clock.sleep(1e9)
            raise AssertionError("never")
        if isinstance(found, OSError):
            raise found
        return found

    @property
    def destinations(self) -> list[str]:
        return [endpoint.destination for endpoint in self.states[-1].endpoints]

    def write(self, text: str) -> None:
        other = self.path.with_name(".new")
        other.write_text(text)
        other.rename(self.path)

    def settle(self) -> None:
        self.source.poll_once()
        self.source.poll_once()

    def new(self) -> list[str]:
        said, self.said = [text.replace(str(self.path), "F") for text in self.said], []
        return said


@asynccontextmanager
async def running(lab: Lab) -> AsyncIterator[None]:
    task = asyncio.create_task(lab.source.run())
    try:
        await lab.clock.advance(0.0)
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def hosts(*names: str) -> str:
    return "endpoints:\n" + "".join(
        f"- {{name: {name.partition('.')[0]}, address: {name}, port: 8000}}\n" for name in names
    )


def test_reads_the_file(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(FILE)
    lab.source.poll_once()
    (state,) = lab.states
    assert state.pool is not None
    assert (state.pool.namespace, state.pool.name, state.pool.target_ports) == ("default", "epp", (8000, 8001))
    assert state.endpoints == (
        Endpoint.create(namespace="team", pod="a", rank=0, address="10.0.0.1", port=8000, labels={"app": "vllm"}),
        Endpoint.create(namespace="default", pod="b", rank=0, address="fd00::1", port=8001),
    )
    assert lab.said == []


def test_reads_json_and_metrics_addresses(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(
        '{"endpoints":[{"name":"a","address":"10.0.0.1","port":"80","metricsAddress":"epp.b","metricsPort":"9090"}]}'
    )
    lab.source.poll_once()
    (endpoint,) = lab.states[-1].endpoints
    assert (endpoint.metrics_address, endpoint.metrics_port) == ("epp.b", 9090)


def test_the_metrics_page_may_be_in_labels(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(
        "endpoints:\n"
        "- {name: a, address: 10.0.0.1, port: 80, labels: {metricsAddress: epp.b, metricsPort: '9090'}}\n"
        "- {name: b, address: 10.0.0.2, port: 80, metricsPort: 1, labels: {metricsPort: '9090'}}\n"
    )
    lab.source.poll_once()
    first, second = lab.states[-1].endpoints
    assert (first.metrics_address, first.metrics_port) == ("epp.b", 9090)
    assert (second.metrics_address, second.metrics_port) == ("", 1), "the field goes before the label"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: a", 'name: ""', "2: endpoints[0].name: '' is not a name"),
        ("name: a", "name: a/b", "2: endpoints[0].name: 'a/b' is not a name"),
        ("- name: b\n", "- name: a\n  namespace: team\n", "7: endpoints[1].name: team/a is listed twice"),
        ("10.0.0.1", "10.0.0.300", "4: endpoints[0].address: '10.0.0.300' is neither an IP address nor a host name"),
        ("10.0.0.1", "http://a", "4: endpoints[0].address: 'http://a' is neither"),
        ("10.0.0.1", '""', "4: endpoints[0].address: '' is neither"),
        ("10.0.0.1", f"{'a' * 64}.b", "4: endpoints[0].address: 'aaaa"),
        ("FD00::0001", "fe80::1%eth0", "8: endpoints[1].address: 'fe80::1%eth0' has a scope"),
        ('"8000"', '"80x0"', "5: endpoints[0].port: '80x0' is not a port"),
        ('"8000"', "0", "5: endpoints[0].port: 0 is not a port"),
        ('"8000"', "99999", "5: endpoints[0].port: 99999 is not a port"),
        ('"8000"', "8000.5", "5: endpoints[0].port: "),
        ("  address: 10.0.0.1\n", "", "2: endpoints[0]: "),
        ("labels: {app: vllm}", "metricsAddress: 10.0.0.999", "6: endpoints[0].metricsAddress: "),
        ("{app: vllm}", "{metricsAddress: 10.0.0.999}", "6: endpoints[0].labels.metricsAddress: "),
        ("{app: vllm}", "{metricsPort: x}", "6: endpoints[0].labels.metricsPort: 'x' is not a port"),
        ("endpoints:", "endpoint:", "1: "),
        ("endpoints:\n", "endpoints: []\n---\nendpoints:\n", " 2 documents; expected one"),
        (FILE, "", " 0 documents; expected one"),
    ],
)
def test_a_mistake_keeps_the_last_good_endpoints(tmp_path: Path, old: str, new: str, message: str) -> None:
    lab = Lab(tmp_path)
    lab.write(FILE)
    lab.source.poll_once()
    lab.write(FILE.replace(old, new, 1))
    lab.settle()
    assert len(lab.states) == 1
    (said,) = lab.new()
    assert said.startswith(f"F:{message}")
    assert len(lab.source.problems) == 1
    lab.write("endpoints: []\n")
    lab.settle()
    assert not lab.destinations
    assert not lab.source.problems


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(FILE + "#" * 1024 * 1024)
    lab.source.poll_once()
    assert "at most 1048576 are read" in lab.new()[0]


def test_a_file_that_is_not_there_yet_and_one_that_goes(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.settle()
    assert lab.new() == ["F: does not exist; the picker waits for it"]
    lab.write(FILE)
    lab.settle()
    assert len(lab.destinations) == 2
    lab.path.unlink()
    lab.settle()
    assert lab.new() == ["F: is gone; the endpoints that it had stay in force"]
    assert len(lab.destinations) == 2


def test_without_watching_the_file_is_read_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path, watch_file=False)
    lab.settle()
    lab.write(FILE)
    lab.settle()
    lab.write("endpoints: []\n")
    lab.settle()
    assert len(lab.states) == 1
    assert len(lab.destinations) == 2


def test_two_endpoints_on_one_address_are_a_problem_and_the_first_counts(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write("endpoints:\n- {name: a, address: 10.0.0.1, port: 80}\n- {name: b, address: 10.0.0.1, port: 80}\n")
    lab.source.poll_once()
    assert [endpoint.pod for endpoint in lab.states[-1].endpoints] == ["a"]
    assert lab.new() == ["F:3: endpoints[1].address: 10.0.0.1:80 is default/a-rank-0 already; that one counts"]


async def test_every_address_of_a_host_is_an_endpoint_in_a_fixed_order(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(hosts("vllm.local"))
    lab.names["vllm.local"] = ["fd00::2", "10.0.0.10", "10.0.0.9", "10.0.0.10", "fe80::1%eth0"]
    async with running(lab):
        assert [(endpoint.name, endpoint.destination) for endpoint in lab.states[-1].endpoints] == [
            ("vllm-10.0.0.9-rank-0", "10.0.0.9:8000"),
            ("vllm-10.0.0.10-rank-0", "10.0.0.10:8000"),
            ("vllm-fd00--2-rank-0", "[fd00::2]:8000"),
        ]
        told = len(lab.states)
        lab.names["vllm.local"] = ["10.0.0.10", "10.0.0.9", "fd00::2"]
        await lab.clock.advance(20.0)
        assert len(lab.states) == told
        assert len(lab.lookups) == 5


async def test_a_host_is_resolved_again_every_five_seconds(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(hosts("vllm.local"))
    lab.names["vllm.local"] = ["10.0.0.1"]
    async with running(lab):
        lab.names["vllm.local"] = ["10.0.0.2"]
        await lab.clock.advance(4.9)
        assert lab.destinations == ["10.0.0.1:8000"]
        await lab.clock.advance(0.2)
        assert lab.destinations == ["10.0.0.2:8000"]


async def test_a_look_up_that_fails_keeps_the_last_addresses_and_is_said_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(hosts("vllm.local", "missing.local"))
    lab.names["vllm.local"] = ["10.0.0.1"]
    lab.names["missing.local"] = []
    async with running(lab):
        assert lab.new() == ["F:3: endpoints[1].address: 'missing.local' has no address; its endpoints are left out"]
        lab.names["vllm.local"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        await lab.clock.advance(30.0)
        assert lab.destinations == ["10.0.0.1:8000"]
        (said,) = lab.new()
        assert said.startswith("F:2: endpoints[0].address: 'vllm.local' cannot be resolved: Temporary failure")
        assert said.endswith("; its last addresses stay in force")
        lab.names["vllm.local"] = ["10.0.0.1"]
        await lab.clock.advance(6.0)
        assert len(lab.source.problems) == 1


async def test_a_look_up_that_hangs_delays_neither_the_file_nor_the_others(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(hosts("slow.local", "fast.local"))
    lab.names["slow.local"] = None
    lab.names["fast.local"] = ["10.0.0.1"]
    async with running(lab):
        assert lab.destinations == ["10.0.0.1:8000"]
        lab.write(hosts("slow.local") + "- {name: x, address: 10.0.0.7, port: 80}\n")
        await lab.clock.advance(60.0)
        assert lab.destinations == ["10.0.0.7:80"]
        assert lab.lookups.count("slow.local") == 1


async def test_a_host_that_left_the_file_is_no_longer_resolved(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.write(hosts("a.local"))
    lab.names["a.local"] = socket.gaierror(socket.EAI_NONAME, "unknown")
    async with running(lab):
        lab.write("endpoints: []\n")
        await lab.clock.advance(1.0)
        before = len(lab.lookups)
        await lab.clock.advance(30.0)
        assert len(lab.lookups) == before
        assert lab.source.problems == ()


async def test_localhost_has_an_address() -> None:
    assert "127.0.0.1" in await resolve_host("localhost")
