"""Faults that a test injects through POST /debug/faults. Each POST replaces all of them; {} clears them."""

from typing import Literal

import msgspec

from epp.lab.fake_vllm.errors import ApiError, injected, validation


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong.

    health            status that GET /health answers
    drop_connections  every connection is reset when its next request arrives (only /debug stays)
    metrics           GET /metrics: `silent` never answers, `empty` and `garbage` answer 200 with nothing or nonsense,
                      a number answers that status
    tokenize          POST /tokenize and the render endpoints: `silent` never answers, a number answers that status
    adapters          POST /v1/load_lora_adapter and /v1/unload_lora_adapter: as `tokenize`
    missing_sources   adapters cannot be loaded from these paths, because there is nothing
    kv_events         `lost`: batches of KV-cache events are not sent, but can be replayed
    delay_s           inference and tokenize requests are read this much later
    status, times     the next `times` inference requests (without `times`: all) answer `status`
    drop_after_tokens a streamed answer is reset after that many token events
    """

    health: int | None = None
    drop_connections: bool = False
    metrics: Literal["silent", "empty", "garbage"] | int | None = None
    tokenize: Literal["silent"] | int | None = None
    adapters: Literal["silent"] | int | None = None
    missing_sources: tuple[str, ...] = ()
    kv_events: Literal["lost"] | None = None
    delay_s: float = 0.0
    status: int | None = None
    times: int | None = None
    drop_after_tokens: int | None = None


class FaultState:
    """The faults in force, and how many of a counted fault are left."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._times_left: int | None = None

    def replace(self, faults: Faults) -> None:
        """Puts other faults in force."""
        self.faults = faults
        self._times_left = faults.times

    def refuse(self) -> ApiError | None:
        """The error that the inference request at hand shall get, if any; counts it."""
        if self.faults.status is None or self._times_left == 0:
            return None
        if self._times_left is not None:
            self._times_left -= 1
        return injected(self.faults.status)


def read_faults(raw: bytes) -> Faults:
    """Faults from JSON. Raises ApiError (400) for unknown names and impossible values."""
    try:
        faults = msgspec.json.decode(raw, type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise validation(f"faults: {error}") from error
    for name in ("health", "metrics", "tokenize", "adapters", "status"):
        value = getattr(faults, name)
        if isinstance(value, int) and not 200 <= value <= 599:
            raise validation(f"faults: {name} {value} is not a final HTTP status", name)
    for name in ("delay_s", "times", "drop_after_tokens"):
        value = getattr(faults, name)
        if value is not None and value < 0:
            raise validation(f"faults: {name} must not be negative, got {value}", name)
    if faults.times is not None and faults.status is None:
        raise validation("faults: times counts status, which is missing", "times")
    return faults
