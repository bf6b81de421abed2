"""Membership: takes new object states to everybody who needs them, in the order that keeps picks safe.

An endpoint must be known to the proxy before it may be picked, and the proxy must not forget it while picks of it are
on their way: added endpoints are written first and picked when the proxy has had time to read that, removed ones are
taken out of the file a moment later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import ObjectState
from epp.core.state.columns import NoMoreSlots
from epp.core.state.roster import SlotRoster
from epp.edge.gateway.eds import EdsError, EdsFile
from epp.edge.observe.logs import Logger
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.poller import Poller

Address = tuple[str, int]

ENVOY_READS_WITHIN_S = 0.25
"""Envoy hears of a written file at once and reads it within milliseconds; a busy machine takes longer."""


class EndpointFollower(Protocol):
    """Has something to do with every endpoint of the pool."""

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """The pool from now on."""
        ...


class Membership:
    """ObjectSink of the process."""

    def __init__(
        self,
        *,
        roster: SlotRoster,
        poller: Poller | None,
        followers: Sequence[EndpointFollower] = (),
        eds: EdsFile | None,
        sink: PrometheusSink,
        logger: Logger,
        on_change: Callable[[], None],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._roster = roster
        self._poller = poller
        self._followers = followers
        self._eds = eds
        self._sink = sink
        self._logger = logger
        self._on_change = on_change
        self._call_later = call_later
        self._state = ObjectState(None, ())
        self._in_force: ObjectState | None = None
        """`_state` without the endpoints that Envoy may not have read of yet; None before the first state"""
        self._unread: dict[Address, object] = {}
        """addresses that Envoy may not have read of yet, each with the write that it waits for"""
        self._is_in_force = True
        self._has_left_over = False
        """whether the file still has endpoints that were removed"""
        self.problem = ""
        """why the last state is not wholly written for Envoy; empty when it is"""

    def objects_changed(self, state: ObjectState) -> None:
        """Writes, then swaps the snapshot, then scrapes; when the write fails the former state stays in force.

        Endpoints that join follow `ENVOY_READS_WITHIN_S` later, but for those of the first state: nobody is answered
        before it. Removed endpoints stay in the file until the next `tidy`.
        """
        self._state = state
        self._is_in_force = False
        self._try(self._take_over)

    def tidy(self) -> None:
        """Takes removed endpoints out of the file, and tries again what could not be written; called now and then."""
        if self._is_in_force and self._has_left_over:
            self._try(self._take_out)
        elif self.problem:
            self._try(self._take_over)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (EdsError, NoMoreSlots) as error:
            self._not_written(str(error))
        else:
            self.problem = ""

    def _take_over(self) -> None:
        former = self._roster.current.endpoints
        self._write((*former, *self._state.endpoints))
        known, wanted = {*_addresses(former)}, {*_addresses(self._state.endpoints)}
        self._has_left_over = bool(known - wanted)
        self._wait_for_envoy(known, wanted)
        self._put_in_force()

    def _wait_for_envoy(self, known: set[Address], wanted: set[Address]) -> None:
        """Has those that join wait for their turn, each since its own write, if somebody can serve meanwhile.

        Where there was nobody before, nobody serves either way. Where all are replaced at once, they do not wait: a
        request that Envoy cannot place yet is better off than one that is refused for certain.
        """
        if self._eds is None or self._in_force is None or (known and not known & wanted):
            self._unread = {}
            return
        write = object()
        self._unread = {address: self._unread.get(address, write) for address in wanted - known}
        if write in self._unread.values():
            self._call_later(ENVOY_READS_WITHIN_S, partial(self._was_read, write))

    def _was_read(self, write: object) -> None:
        self._unread = {address: one for address, one in self._unread.items() if one is not write}
        if self._is_in_force:
            self._try(self._put_in_force)

    def _take_out(self) -> None:
        self._write(self._state.endpoints)
        self._has_left_over = False

    def _put_in_force(self) -> None:
        state = self._without_unread(self._state)
        self._is_in_force = True
        if self._unread and state == self._in_force:
            return
        self._in_force = state
        self._roster.objects_changed(state)
        if self._poller is not None:
            self._poller.set_endpoints(state.endpoints)
        for follower in self._followers:
            follower.set_endpoints(state.endpoints)
        self._sink.known_names(configured_names(state))
        self._logger.info(
            "pool changed",
            pool=state.pool.name if state.pool else None,
            endpoints=len(state.endpoints),
            objectives=len(state.objectives),
            rewrites=len(state.rewrites),
        )
        self._on_change()

    def _without_unread(self, state: ObjectState) -> ObjectState:
        if not self._unread:
            return state
        read = (endpoint for endpoint in state.endpoints if (endpoint.address, endpoint.port) not in self._unread)
        return msgspec.structs.replace(state, endpoints=tuple(read))

    def _not_written(self, problem: str) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        self._logger.error(
            "removed endpoints stay in Envoy's file for now"
            if self._is_in_force
            else "endpoints not written for Envoy; the former ones stay in force",
            problem=problem,
        )

    def _write(self, endpoints: tuple[Endpoint, ...]) -> None:
        if self._eds is not None:
            self._eds.write(_addresses(endpoints))


def _addresses(endpoints: Iterable[Endpoint]) -> Iterator[Address]:
    return ((endpoint.address, endpoint.port) for endpoint in endpoints)


def configured_names(state: ObjectState) -> set[str]:
    """What the operator configured: objectives, rewrites, and the models that rewrites take and give."""
    names = {objective.name for objective in state.objectives}
    for rewrite in state.rewrites:
        names.add(rewrite.name)
        for rule in rewrite.rules:
            names.update(rule.models, (target.model for target in rule.targets))
    return names
