"""The side of a picker that answers requests, as the rest of the picker sees it.

The rest (objects, scraping, pages, health, configuration) is the same whether this process answers by itself
(`OwnRequests`) or lets picker processes do it (`PickerProcesses`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from epp.app.membership import EndpointFollower
from epp.core.config.settings import PickerConfig
from epp.core.state.roster import SlotRoster
from epp.edge.admin.pages import DecisionsPage
from epp.edge.observe.catalogue import CountedFamilies
from epp.edge.observe.flow_series import FlowSeries
from epp.edge.observe.picker_families import ProcessNumbers
from epp.edge.observe.sink import PrometheusSink

FINISH_GRACE_S = 2.0
"""after the drain time-out: how long streams may take to end by themselves"""


class ServingState(msgspec.Struct, frozen=True):
    """What is held for requests at one moment."""

    streams_open: int = 0
    """ext_proc streams"""
    buffered_bytes: int = 0
    """of request bodies"""
    index_blocks: int = 0
    """of prefix indexes, over all endpoints"""


class RequestSide(Protocol):
    """`start`, then `run` until cancelled, `drain` once, `stop`."""

    @property
    def roster(self) -> SlotRoster:
        """Who may be picked."""
        ...

    @property
    def followers(self) -> Sequence[EndpointFollower]:
        """Who has something to do with each endpoint beside the roster."""
        ...

    @property
    def sink(self) -> PrometheusSink:
        """Where this process counts."""
        ...

    @property
    def counts(self) -> CountedFamilies:
        """What was counted about requests, wherever it was."""
        ...

    @property
    def flow(self) -> FlowSeries:
        """Flow control of this process."""
        ...

    @property
    def decisions(self) -> DecisionsPage:
        """The last decisions."""
        ...

    @property
    def state(self) -> ServingState:
        """As far as it is known now; `gather` brings it up to date."""
        ...

    @property
    def processes(self) -> Callable[[], ProcessNumbers] | None:
        """Numbers of the picker processes; None where there are none."""
        ...

    @property
    def gather(self) -> Callable[[], Awaitable[None]]:
        """Asks other processes for what they know, and waits a moment for it."""
        ...

    @property
    def ports(self) -> tuple[int, ...]:
        """Where requests are answered, after `start`; more than one where each picker has its own."""
        ...

    @property
    def is_serving(self) -> bool:
        """Whether somebody takes requests."""
        ...

    async def start(self) -> None:
        """Binds the ports; raises PickerError."""
        ...

    async def run(self) -> None:
        """Background work; runs until it is cancelled."""
        ...

    def take_over(self, config: PickerConfig, text: bytes) -> None:
        """Puts the configuration that `text` says in force; raises PickerError, and the former one stays."""
        ...

    def pool_changed(self) -> None:
        """The roster has another snapshot."""
        ...

    def load_changed(self) -> None:
        """A metrics page was read."""
        ...

    def set_ready(self, *, is_ready: bool) -> None:
        """Whether requests may come."""
        ...

    async def drain(self, interrupted: asyncio.Event, timeout_s: float) -> None:
        """Goes on until the time-out or `interrupted`; then streams come to an end."""
        ...

    async def stop(self) -> None:
        """Closes what is left, whether or not everything was started."""
        ...
