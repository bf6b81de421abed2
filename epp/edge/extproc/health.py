"""gRPC health (port 9003, always plaintext): Check, List and Watch.

`liveness` is SERVING while the process lives; `readiness`, ``, `envoy.service.ext_proc.v3.ExternalProcessor` and
`inference-extension` are SERVING when the picker may be asked. Other names are SERVICE_UNKNOWN.
"""

from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError

from epp._pb.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse
from epp.edge.extproc.transport import SERVICE, GrpcStatus, HandlerFactory, Message, ServerStream

LIVENESS = "liveness"
READINESS_NAMES = ("", "readiness", SERVICE, "inference-extension")
HEALTH = "/grpc.health.v1.Health"


class Readiness:
    """Whether the picker may be asked; tells watchers when that changes."""

    def __init__(self) -> None:
        self.is_ready = False
        self.is_stopping = False
        self._watchers: dict[object, Callable[[], None]] = {}

    def set(self, *, ready: bool) -> None:
        """The new state; a stopping process never becomes ready again."""
        ready = ready and not self.is_stopping
        if ready != self.is_ready:
            self.is_ready = ready
            self._announce()

    def stop(self) -> None:
        """The process is shutting down."""
        self.is_stopping = True
        self.is_ready = False
        self._announce()

    def watch(self, who: object, changed: Callable[[], None]) -> None:
        """Calls `changed` at every change, until `who` leaves."""
        self._watchers[who] = changed

    def leave(self, who: object) -> None:
        """`who` does not watch any more."""
        self._watchers.pop(who, None)

    def _announce(self) -> None:
        for changed in list(self._watchers.values()):
            changed()


def health_methods(readiness: Readiness) -> Mapping[str, HandlerFactory]:
    """The health service for a transport, by path."""

    def status(service: str) -> HealthCheckResponse.ServingStatus:
        if service == LIVENESS:
            return HealthCheckResponse.SERVING
        if service not in READINESS_NAMES:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if readiness.is_ready else HealthCheckResponse.NOT_SERVING

    def check(message: bytes) -> bytes:
        service = HealthCheckRequest.FromString(message).service
        return HealthCheckResponse(status=status(service)).SerializeToString()

    def list_all(message: bytes) -> bytes:
        HealthListRequest.FromString(message)
        names = (LIVENESS, *READINESS_NAMES)
        statuses = {name: HealthCheckResponse(status=status(name)) for name in names}
        return HealthListResponse(statuses=statuses).SerializeToString()

    return {
        f"{HEALTH}/Check": lambda stream: _Unary(stream, check),
        f"{HEALTH}/List": lambda stream: _Unary(stream, list_all),
        f"{HEALTH}/Watch": lambda stream: _Watch(stream, readiness, check),
    }


class _Unary:
    """StreamHandler of a method with one question and one answer."""

    def __init__(self, stream: ServerStream, answer: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._answer = answer
        self._question: bytes | None = None

    def message_announced(self, message_bytes: int) -> None:
        """Nothing to prepare."""

    def message_received(self, message: Message) -> None:
        """The question."""
        self._question = bytes(message)

    def half_closed(self) -> None:
        """The question is whole."""
        if self._question is None:
            self._stream.fail(GrpcStatus.INVALID_ARGUMENT, "a call without a message")
            return
        try:
            self._stream.send(self._answer(self._question))
        except DecodeError as error:
            self._stream.fail(GrpcStatus.INVALID_ARGUMENT, str(error))
        else:
            self._stream.finish()

    def drain(self) -> None:
        """It ends by itself."""

    def closed(self) -> None:
        """Nothing is kept."""


class _Watch:
    """StreamHandler of one watcher: told at once, and whenever something changes."""

    def __init__(self, stream: ServerStream, readiness: Readiness, check: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._readiness = readiness
        self._check = check
        self._question: bytes | None = None
        self._told: bytes | None = None

    def message_announced(self, message_bytes: int) -> None:
        """Nothing to prepare."""

    def message_received(self, message: Message) -> None:
        """Which service is watched."""
        self._question = bytes(message)
        self._readiness.watch(self, self._tell)
        self._tell()

    def half_closed(self) -> None:
        """The watch goes on."""

    def drain(self) -> None:
        """The server is stopping."""
        self._stream.fail(GrpcStatus.UNAVAILABLE, "the server is stopping")

    def closed(self) -> None:
        """Nobody watches any more."""
        self._readiness.leave(self)

    def _tell(self) -> None:
        try:
            now = self._check(self._question or b"")
        except DecodeError as error:
            self._stream.fail(GrpcStatus.INVALID_ARGUMENT, str(error))
            return
        if now != self._told:
            self._told = now
            self._stream.send(now)
