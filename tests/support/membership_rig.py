"""A Membership with everything real around it, which notes what happens step by step."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog

from epp.app.membership import ENVOY_READS_WITHIN_S, Membership
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.gateway.eds import EdsFile, EdsWriteError
from epp.edge.observe.families import Dialect
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.dialects import Dialects
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.metrics_page import Told
from epp.edge.scrape.period import Attention, ScrapeBudget
from epp.edge.scrape.poller import Poller

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))
A, B, C = (
    Endpoint.create(namespace="default", pod=name, rank=0, address=f"10.0.0.{number}", port=8000)
    for number, name in enumerate("abc", 1)
)


def state(*endpoints: Endpoint) -> ObjectState:
    return ObjectState(POOL, endpoints)


def hosts(endpoints: Iterable[Endpoint]) -> str:
    return "".join(sorted(endpoint.pod for endpoint in endpoints))


class RecordingEds(EdsFile):
    """Notes each write together with who could be picked at that moment.

    `plan` says of the next writes which succeed; after it all do.
    """

    def __init__(self, path: Path, steps: list[str], roster: Roster) -> None:
        super().__init__(path)
        self.plan: list[bool] = []
        self._steps = steps
        self._roster = roster

    def write(self, endpoints: Iterable[tuple[str, int]]) -> None:
        listed = list(endpoints)
        if self.plan and not self.plan.pop(0):
            raise EdsWriteError("cannot write: the disk is full")
        super().write(listed)
        names = "".join(sorted({each.pod for each in (A, B, C) if (each.address, each.port) in listed}))
        self._steps.append(f"Envoy knows {names or 'nobody'}, pickable {hosts(self._roster.current.endpoints)}")

    @property
    def known(self) -> set[str]:
        """Addresses in the file."""
        response = msgspec.json.decode(self.path.read_bytes())
        listed = response["resources"][0]["endpoints"]
        found = listed[0]["lb_endpoints"] if listed else []
        return {each["endpoint"]["address"]["socket_address"]["address"] for each in found}


class Rig:
    """A Membership with everything real around it but the failures."""

    def __init__(self, directory: Path) -> None:
        self.steps: list[str] = []
        self._reads: list[Callable[[], None]] = []
        self.followed: tuple[Endpoint, ...] = ()
        self.roster = Roster(InFlightLedger(), lambda: 0.0)
        self.eds = RecordingEds(directory / "eds.json", self.steps, self.roster)
        self.sink = PrometheusSink(Dialect.GIE)
        self.membership = Membership(
            roster=self.roster,
            poller=Poller(
                self.roster,
                self._page,
                Dialects({}, VLLM).reader_of,
                attention=lambda _: Attention.IDLE,
                on_problem=_unexpected,
                budget=ScrapeBudget(),
            ),
            followers=(self,),
            eds=self.eds,
            sink=self.sink,
            logger=structlog.get_logger(),
            on_change=lambda: self.steps.append(f"changed to {hosts(self.roster.current.endpoints)}"),
            call_later=self._later,
        )

    def _later(self, delay_s: float, step: Callable[[], None]) -> None:
        assert delay_s == ENVOY_READS_WITHIN_S
        self._reads.append(step)

    def envoy_reads(self) -> list[str]:
        """What happens when Envoy has had the time to read the oldest write that somebody waits for."""
        self.steps.clear()
        self._reads.pop(0)()
        return list(self.steps)

    def take(self, *endpoints: Endpoint) -> list[str]:
        """What happens when these are the pool's endpoints, step by step."""
        self.steps.clear()
        self.membership.objects_changed(state(*endpoints))
        return list(self.steps)

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """As a follower."""
        self.followed = tuple(endpoints)

    @property
    def pickable(self) -> str:
        return hosts(self.roster.current.endpoints)

    def _page(self, endpoint: Endpoint) -> "_Page":
        self.steps.append(f"scraping {endpoint.pod}, pickable {self.pickable}")
        return _Page()


class _Page:
    url = "unused"

    def read(self, told: Told) -> None:
        raise AssertionError("nobody runs the poller")

    def close(self) -> None:
        """Nothing to close."""


def unexpected_wait(delay_s: float, step: Callable[[], None]) -> NoReturn:
    raise AssertionError(f"waits {delay_s} s for {step}")


def _unexpected(problem: object) -> NoReturn:
    raise AssertionError(problem)
