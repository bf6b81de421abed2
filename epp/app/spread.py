"""The ext_proc ports of several picker processes: this process accepts, and hands each connection to a picker.

With one port the least busy picker gets it (`epp.app.picker_loads`), of equal ones that with the fewest connections.
With a port for each, its own picker, and while that is not there another one as host of a guest, so that nothing waits
for a new process. Kernel balancing (SO_REUSEPORT) is no choice: it knows nothing of streams, and Envoy has few
connections.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

from epp.app.listening import check_listening
from epp.app.picker_handle import PickerHandle
from epp.app.picker_loads import LOOK_EVERY_S, PickerLoads

BACKLOG = 1_024
FLAG = "grpc-port"


class Spread:
    """`start`, then `run` until cancelled, then `close`."""

    def __init__(
        self,
        address: str,
        ports: Sequence[int],
        pickers: Callable[[], Sequence[PickerHandle]],
        open_requests: Callable[[int], int],
    ) -> None:
        """`ports`: one, or one for each picker; `open_requests` of a picker's number."""
        self._address = address
        self._wanted = ports
        self._pickers = pickers
        self._open_requests = open_requests
        self._listeners: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._has_picker = asyncio.Event()
        self._loads = PickerLoads()

    @property
    def ports(self) -> tuple[int, ...]:
        """Those that are listened on."""
        return tuple(listener.getsockname()[1] for listener in self._listeners)

    def start(self) -> None:
        """Binds every port; raises InvalidInput naming the flag."""
        for port in self._wanted:
            check_listening(FLAG, self._address, port)
            family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
            listener = socket.create_server((self._address, port), family=family, backlog=BACKLOG)
            listener.setblocking(False)
            self._listeners.append(listener)

    def picker_came(self) -> None:
        """Some picker takes connections now."""
        self._has_picker.set()

    async def run(self) -> None:
        """Accepts until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            self._accepting = [
                group.create_task(self._accept(place, listener)) for place, listener in enumerate(self._listeners)
            ]
            self._accepting.append(group.create_task(self._look_regularly()))

    def look(self) -> None:
        """Looks at what the pickers have open; `run` does so regularly."""
        pickers = self._pickers()
        self._loads.look(
            {picker.number: self._open_requests(picker.number) for picker in pickers},
            {picker.number: picker.connections_open for picker in pickers},
        )

    async def close(self) -> None:
        """Nothing is accepted any more; `run` returns."""
        for task in self._accepting:
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    async def _accept(self, place: int, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            with connection:
                while not self._hand_over(connection, place if len(self._wanted) > 1 else None):
                    # Envoy waits up to its message_timeout; a new process is there sooner.
                    self._has_picker.clear()
                    await self._has_picker.wait()

    def _hand_over(self, connection: socket.socket, home: int | None) -> bool:
        """`home`: number of the picker that it is meant for; None: any."""
        serving = [picker for picker in self._pickers() if picker.is_serving]
        serving.sort(key=lambda picker: (picker.number != home, self._load(picker)))
        for picker in serving:
            is_guest = home is not None and picker.number != home
            with contextlib.suppress(OSError):
                if picker.give(connection, is_guest=is_guest):
                    return True
        return False

    def _load(self, picker: PickerHandle) -> tuple[float, int]:
        return self._loads.load(picker.number, picker.connections_open), picker.connections_open
