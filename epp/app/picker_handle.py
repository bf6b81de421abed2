"""One picker process as the control process sees it, from its start to its end."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable

from epp.app.bound_to_parent import bound_to_parent
from epp.core.domain.ports import Clock
from epp.edge.peers import handover
from epp.edge.peers.channel import Channel
from epp.edge.peers.messages import Begin, Decisions, Drain, Message, Serving, TableTaken, Told

EXIT_WITHIN_S = 1.0
"""after its last word"""


class PickerHandle:
    """`start`, then `listen` until the process is gone, then `ended`."""

    def __init__(self, number: int, hear: Callable[["PickerHandle", Message], None], clock: Clock) -> None:
        """`hear` is called with every message."""
        self.number = number
        self.heard_at = clock()
        """monotonic seconds of the last message"""
        self._clock = clock
        self.is_serving = False
        self.port = 0
        """where it listens by itself"""
        self.version_taken = 0
        """of the pool table"""
        self.told: Told | None = None
        """what it said last"""
        self.connections_given = 0
        self.connections_closed = 0
        self._is_ending = False
        self._hear = hear
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._giving: socket.socket | None = None

    @property
    def pid(self) -> int:
        """0 before `start`."""
        return self._process.pid if self._process else 0

    @property
    def is_alive(self) -> bool:
        """From `start` until `listen` has returned."""
        return self._channel is not None

    @property
    def connections_open(self) -> int:
        """Of those that were handed over."""
        return self.connections_given - self.connections_closed

    async def start(self, begin: Begin, memory_fd: int) -> None:
        """Starts the process and tells it who it is; it says Serving later."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        giving, taking = handover.make_pair()
        with theirs, taking:
            command = [sys.executable, "-m", "epp", "serve-picker", "--channel", str(theirs.fileno())]
            command += ["--connections", str(taking.fileno()), "--memory", str(memory_fd)]
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_parent(command),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), taking.fileno(), memory_fd),
                start_new_session=True,
            )
        self._giving = giving
        self._channel = await Channel.over(ours)
        self.send(begin)

    async def listen(self) -> int:
        """Passes messages on until the process is gone; returns its exit code, -9 for a kill."""
        if self._channel is None or self._process is None:
            raise RuntimeError("the process was not started")
        while (message := await self._channel.receive()) is not None:
            self._take(message)
        self.is_serving = False
        if not self._is_ending:
            # Nothing is heard of it any more, so nothing may come of it: its memory is somebody else's soon.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), EXIT_WITHIN_S)
            self.kill()
        code = await self._process.wait()
        self._close()
        return code

    def send(self, message: Message) -> None:
        """Tells it something; lost when it is gone."""
        if self._channel is not None:
            self._channel.send(message)
            self._is_ending = self._is_ending or isinstance(message, Drain)

    def offer(self, message: Message) -> None:
        """Tells it something that may be lost when it is far behind."""
        if self._channel is not None:
            self._channel.offer(message)

    def asked(self, number: int) -> "asyncio.Future[Message]":
        """The answer to a question that is sent with this number; cancelled when the process ends."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        answer.add_done_callback(lambda _: self._answers.pop(number, None))
        return answer

    def give(self, connection: socket.socket, *, is_guest: bool) -> bool:
        """Hands a connection over; False when it could not."""
        if self._giving is None or not self.is_serving:
            return False
        given = handover.give(self._giving, connection, is_guest=is_guest)
        self.connections_given += given
        return given

    def kill(self) -> None:
        """SIGKILL; `listen` returns soon."""
        with contextlib.suppress(ProcessLookupError):
            if self._process is not None and self._process.returncode is None:
                self._process.kill()

    def _take(self, message: Message) -> None:
        self.heard_at = self._clock()
        match message:
            case Serving():
                self.is_serving = True
                self.port = message.port
            case TableTaken():
                self.version_taken = message.version
            case Told():
                self.told = message
                self._answer(message.asked, message)
            case Decisions():
                self._answer(message.number, message)
        self._hear(self, message)

    def _answer(self, number: int, message: Message) -> None:
        answer = self._answers.get(number)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _close(self) -> None:
        for answer in tuple(self._answers.values()):
            answer.cancel()
        if self._giving is not None:
            self._giving.close()
            self._giving = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
