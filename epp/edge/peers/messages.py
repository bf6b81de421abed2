"""What the control process and its picker processes tell each other, as MessagePack.

Every type is a tagged Struct. What only one package understands travels as bytes that it has written itself.
"""

import msgspec

from epp.core.domain.ports import LoadReport
from epp.core.state.pool_state import PoolTable


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first message to a picker: who it is and what it works with."""

    number: int
    """of the picker, from 0; also that of its row in the shared memory"""
    pickers: int
    slots: int
    """for which the shared memory has room"""
    options: bytes
    """flags, as the application writes them"""
    config_text: bytes | None
    """EndpointPickerConfig; None for a built-in policy"""
    session_key: tuple[bytes, bytes]
    """the operator's, else the control process' own"""
    port: int | None
    """to listen on, 0 for a free one; None: connections are handed over"""


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """Another configuration is in force."""

    number: int
    text: bytes | None


class Table(msgspec.Struct, frozen=True, tag="table"):
    """The pool changed."""

    table: PoolTable


class ScrapeNote(msgspec.Struct, frozen=True, array_like=True):
    """What a scrape said beside the numbers of the shared columns."""

    slot: int
    generation: int
    report: LoadReport


class Scraped(msgspec.Struct, frozen=True, tag="scraped"):
    """Scrapes with something for plugins, or with other adapters than before."""

    notes: list[ScrapeNote]


class PrefixNote(msgspec.Struct, frozen=True, array_like=True):
    """A prompt went to a slot."""

    producer: str
    """name of the plugin that keeps the index"""
    slot: int
    generation: int
    capacity: int
    """blocks that the endpoint is believed to keep"""
    chain: bytes
    """block hashes, as `epp.core.state.block_hashes.packed` makes it"""
    blocks: int
    """in the chain"""


class Learned(msgspec.Struct, frozen=True, tag="learned"):
    """What one picker has learned and the others are to know; both ways."""

    notes: list[PrefixNote]


class Reached(msgspec.Struct, frozen=True, tag="reached"):
    """An endpoint could be reached, or could not; both ways."""

    key: str
    failed: bool


class Failing(msgspec.Struct, frozen=True, tag="failing"):
    """To a picker that has just begun: endpoints that could not be reached."""

    cooldowns: dict[str, tuple[int, float]]
    """as `CoolDowns.known` tells them"""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Whether requests may come, for health checks on the ext_proc port."""

    is_ready: bool


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Answered by Told with the same number."""

    number: int


class AskDecisions(msgspec.Struct, frozen=True, tag="ask-decisions"):
    """Answered by Decisions with the same number."""

    number: int
    limit: int
    request_id: str
    model: str


class SendGuestsHome(msgspec.Struct, frozen=True, tag="guests"):
    """Connections that were meant for another picker are asked to come anew."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Come to an end: streams have so long."""

    grace_s: float


class Serving(msgspec.Struct, frozen=True, tag="serving"):
    """The picker has its first table and takes requests."""

    port: int
    """0 where connections are handed over"""


class TableTaken(msgspec.Struct, frozen=True, tag="taken"):
    """From now on nothing is picked by an older table."""

    version: int


class Configured(msgspec.Struct, frozen=True, tag="configured"):
    """The answer to Configure."""

    number: int
    problem: str
    """why the former one stays in force; empty when the new one is"""


class Told(msgspec.Struct, frozen=True, tag="told"):
    """How a picker does; comes once a second, and when it is asked for."""

    asked: int
    """0 when nobody asked"""
    counts: bytes
    """every counted family, as the package of metrics writes them"""
    streams_open: int
    buffered_bytes: int
    index_blocks: int
    reservations_open: int
    further_reservations_open: int
    cpu_s: float
    resident_bytes: int


class Decisions(msgspec.Struct, frozen=True, tag="decisions"):
    """The last decisions of one picker, newest first, as JSON."""

    number: int
    rows: bytes


class ConnectionClosed(msgspec.Struct, frozen=True, tag="closed"):
    """A connection that was handed over is gone."""


ToPicker = (
    Begin
    | Configure
    | Table
    | Scraped
    | Learned
    | Reached
    | Failing
    | Ready
    | Ask
    | AskDecisions
    | SendGuestsHome
    | Drain
)
ToControl = Serving | TableTaken | Configured | Told | Decisions | Learned | Reached | ConnectionClosed
Message = ToPicker | ToControl
