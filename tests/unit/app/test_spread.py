"""Who gets an accepted connection."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from epp.app import spread
from epp.app.picker_handle import PickerHandle
from epp.app.spread import Spread
from tests.support.eventually import eventually


class FakePicker(PickerHandle):
    """Takes connections and counts them."""

    def __init__(self, number: int) -> None:
        super().__init__(number, lambda _picker, _message: None, lambda: 0.0)
        self.is_serving = True
        self.guests: list[bool] = []
        self.refuses = False

    def give(self, connection: socket.socket, *, is_guest: bool) -> bool:
        if not self.is_serving or self.refuses:
            return False
        self.guests.append(is_guest)
        self.connections_given += 1
        return True


class Ports:
    """A spread over two pickers whose open requests the test sets."""

    def __init__(self, ports: int) -> None:
        self.pickers = [FakePicker(0), FakePicker(1)]
        self.open_requests = [0, 0]
        self.spread = Spread("127.0.0.1", [0] * ports, lambda: self.pickers, lambda number: self.open_requests[number])

    async def connect(self, place: int = 0) -> None:
        """Returns when the connection has been handed over."""
        before = sum(map(self.given, (0, 1)))
        _, writer = await asyncio.open_connection("127.0.0.1", self.spread.ports[place])
        await eventually(lambda: sum(map(self.given, (0, 1))) == before + 1, what="the connection is handed over")
        writer.close()

    def given(self, number: int) -> int:
        return self.pickers[number].connections_given


@asynccontextmanager
async def accepting(ports: int = 1) -> AsyncIterator[Ports]:
    everything = Ports(ports)
    everything.spread.start()
    running = asyncio.ensure_future(everything.spread.run())
    await eventually(lambda: len(everything.spread.ports) == ports, what="it listens")
    try:
        yield everything
    finally:
        await everything.spread.close()
        await running


async def test_the_least_busy_picker_gets_the_next_one() -> None:
    async with accepting() as ports:
        for _ in range(2):
            await ports.connect()
        ports.open_requests = [30, 2]
        ports.spread.look()
        await ports.connect()
        assert (ports.given(0), ports.given(1)) == (1, 2)


async def test_it_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "LOOK_EVERY_S", 0.001)
    async with accepting() as ports:
        for _ in range(2):
            await ports.connect()
        ports.open_requests = [30, 2]
        loads = ports.spread._loads
        await eventually(lambda: loads.load(0, 1) > 29.0, what="it has looked several times")
        assert loads.load(1, 1) == pytest.approx(2.0, abs=1.0)


async def test_of_equally_busy_ones_that_with_the_fewest_connections() -> None:
    async with accepting() as ports:
        for _ in range(6):
            await ports.connect()
        assert (ports.given(0), ports.given(1)) == (3, 3)
        ports.pickers[0].connections_closed = 3
        for _ in range(3):
            await ports.connect()
        assert (ports.given(0), ports.given(1)) == (6, 3)
        assert not any(ports.pickers[0].guests)


async def test_with_a_port_each_its_own_picker_and_another_one_only_as_a_host() -> None:
    async with accepting(ports=2) as ports:
        ports.open_requests = [9, 0]
        await ports.connect(place=0)
        assert ports.pickers[0].guests == [False]
        ports.pickers[0].is_serving = False
        await ports.connect(place=0)
        assert ports.pickers[1].guests == [True]
        await ports.connect(place=1)
        assert ports.pickers[1].guests == [True, False]


async def test_a_picker_that_takes_nothing_is_passed_over() -> None:
    async with accepting() as ports:
        ports.pickers[1].connections_given = 1
        ports.pickers[0].refuses = True
        await ports.connect()
        assert (ports.given(0), ports.given(1)) == (0, 2)


async def test_a_connection_waits_until_there_is_a_picker() -> None:
    async with accepting() as ports:
        for picker in ports.pickers:
            picker.is_serving = False
        connecting = asyncio.ensure_future(ports.connect())
        done, _ = await asyncio.wait([connecting], timeout=0.05)
        assert not done
        ports.pickers[1].is_serving = True
        ports.spread.picker_came()
        await connecting
        assert ports.given(1) == 1
