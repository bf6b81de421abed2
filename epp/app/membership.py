"""Membership: takes new object states to everybody who needs them, in the order that keeps picks safe.

An endpoint must be known to the proxy before it may be picked, and must not be picked any more before the proxy
forgets it: added endpoints are written first, removed ones last.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import ObjectState
from epp.core.state.roster import Roster
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
        roster: Roster,
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
        self.problem = ""
        """why the last state is not wholly written for Envoy; empty when it is"""

    def objects_changed(self, state: ObjectState) -> None:
        """Writes, then swaps the snapshot, then scrapes; when the write fails the former state stays in force."""
        self._state = state
        self._is_in_force = False
        self._advance()

    def retry(self) -> None:
        """Tries again what could not be written; does nothing when all is written."""
        if self.problem:
            self._advance()

    def _advance(self) -> None:
        try:
            if not self._is_in_force:
                self._write((*self._roster.current.endpoints, *self._state.endpoints))
                self._put_in_force(self._state)
            self._write(self._state.endpoints)
        except EdsError as error:
            self._not_written(str(error))
        else:
            self.problem = ""

    def _put_in_force(self, state: ObjectState) -> None:
        self._is_in_force = True
        self._roster.objects_changed(state)
        if self._poller is not None:
            self._poller.set_endpoints(state.endpoints)
        for follower in self._followers:
            follower.set_endpoints(state.endpoints)
        self._sink.known_names(_names(state))
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
            self._eds.write((endpoint.address, endpoint.port) for endpoint in endpoints)


def _names(state: ObjectState) -> set[str]:
    """What the operator configured: objectives, rewrites, and the models that rewrites take and give."""
    names = {objective.name for objective in state.objectives}
    for rewrite in state.rewrites:
        names.add(rewrite.name)
        for rule in rewrite.rules:
            names.update(rule.models, (target.model for target in rule.targets))
    return names
