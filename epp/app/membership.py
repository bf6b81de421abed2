"""Membership: takes new object states to everybody who needs them, in the order that keeps picks safe.

An endpoint must be known to the proxy before it may be picked, and the proxy must not forget it while picks of it are
on their way: added endpoints are written first, removed ones are taken out a moment later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import ObjectState
from epp.core.state.columns import NoMoreSlots
from epp.core.state.roster import SlotRoster
from epp.edge.gateway.eds import EdsError, EdsFile
from epp.edge.observe.logs import Logger
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.poller import Poller


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
    ) -> None:
        self._roster = roster
        self._poller = poller
        self._followers = followers
        self._eds = eds
        self._sink = sink
        self._logger = logger
        self._on_change = on_change
        self._state = ObjectState(None, ())
        self._is_in_force = True
        self._has_left_over = False
        """whether the file still has endpoints that were removed"""
        self.problem = ""
        """why the last state is not wholly written for Envoy; empty when it is"""

    def objects_changed(self, state: ObjectState) -> None:
        """Writes, then swaps the snapshot, then scrapes; when the write fails the former state stays in force.

        Removed endpoints stay in the file until the next `tidy`.
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
        self._has_left_over = bool({*_addresses(former)} - {*_addresses(self._state.endpoints)})
        self._put_in_force(self._state)

    def _take_out(self) -> None:
        self._write(self._state.endpoints)
        self._has_left_over = False

    def _put_in_force(self, state: ObjectState) -> None:
        self._is_in_force = True
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


def _addresses(endpoints: Iterable[Endpoint]) -> Iterator[tuple[str, int]]:
    return ((endpoint.address, endpoint.port) for endpoint in endpoints)


def configured_names(state: ObjectState) -> set[str]:
    """What the operator configured: objectives, rewrites, and the models that rewrites take and give."""
    names = {objective.name for objective in state.objectives}
    for rewrite in state.rewrites:
        names.add(rewrite.name)
        for rule in rewrite.rules:
            names.update(rule.models, (target.model for target in rule.targets))
    return names
