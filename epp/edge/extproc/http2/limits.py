"""What a peer may ask of one connection, and how much of what costs us work without bringing a request."""

import msgspec


class Http2Limits(msgspec.Struct, frozen=True):
    """Limits of one connection."""

    most_streams: int = 100_000
    """at once; a stream lives as long as its answer, and our Envoy configurations allow as many"""
    stream_window_bytes: int = 256 << 10
    """what a stream may send unasked, at least 65,535; a longer message gets room for all of it as soon as its length
    is known"""
    frame_bytes: int = 1 << 20
    """largest DATA frame that is accepted"""
    header_bytes: int = 16 << 10
    """of one header list, and of its encoded block; as much as the gRPC library takes"""
    held_bytes: int = 64 << 20
    """on streams that are not read for the time being; above it nothing more is read from the connection"""
    waiting_bytes: int = 512 << 20
    """of answers that the peer asked for and has no window for; above it the connection ends"""
    nuisances_per_s: float = 1_000.0
    """frames that bring nothing: PING, SETTINGS, PRIORITY, frames of unknown types, empty DATA, window updates without
    need, resets of streams that had not said anything yet"""
    nuisance_burst: float = 10_000.0
    updates_per_frame: int = 10
    """window updates for each DATA frame that was sent, before they count as nuisances (the ratio that Envoy uses)"""
    handshake_within_s: float = 10.0
    """of TLS"""
    greeting_within_s: float = 10.0
    """preface and SETTINGS, and every header block and every frame but DATA once it has begun"""
    stalled_after_s: float = 120.0
    """a stream whose window stays shut this long while something waits to be sent is reset"""
    ping_after_s: float = 60.0
    """of silence"""
    pong_within_s: float = 20.0
    closed_within_s: float = 10.0
    """when everything was said, the peer has so long to read it"""


DEFAULT_LIMITS = Http2Limits()


class Allowance:
    """A token bucket: `rate_per_s` come back, at most `burst` are there."""

    __slots__ = ("_at", "_burst", "_left", "_rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Whether so much was left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate_per_s)
        self._at = now
        self._left -= cost
        return self._left >= 0.0
