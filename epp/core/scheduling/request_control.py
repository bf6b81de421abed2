"""What sees every request before a profile runs: header processors, screeners, producers, admitters, in that order.

Screeners are independent of one another: each judges all candidates, and an endpoint stays if all let it stay. A
producer that raises an error is isolated: the others run, and the request goes on without its product.
"""

from collections.abc import Callable

import numpy as np

from epp.core.domain.errors import DroppedReason, ServiceUnavailable
from epp.core.domain.value import Value
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.plugins import (
    Admitter,
    Producer,
    Reporter,
    RequestHeaderProcessor,
    ResponseHeaderProcessor,
    Screener,
)

NoteFault = Callable[[str, str, BaseException], None]
"""takes the event, the id of the request and the error (FaultLog.fault)"""


class NamedProducer(Value):
    """A producer and the name under which consumers find its product."""

    name: str
    plugin: Producer


class NamedScreener(Value):
    """A screener and the name it has in the configuration."""

    name: str
    plugin: Screener


class RequestControl(Value):
    """The plugins of a configuration that work without a profile."""

    request_header_processors: tuple[RequestHeaderProcessor, ...] = ()
    screeners: tuple[NamedScreener, ...] = ()
    admitters: tuple[Admitter, ...] = ()
    response_header_processors: tuple[ResponseHeaderProcessor, ...] = ()
    reporters: tuple[Reporter, ...] = ()

    @property
    def plugins(self) -> tuple[object, ...]:
        """All of them."""
        screeners = (named.plugin for named in self.screeners)
        processors = (*self.request_header_processors, *self.response_header_processors)
        return (*processors, *screeners, *self.admitters, *self.reporters)


def screened(cycle: Cycle, candidates: Candidates, screeners: tuple[NamedScreener, ...]) -> Candidates:
    """The candidates that every screener lets stay, in their order; raises ServiceUnavailable when nobody is left."""
    left = candidates
    for named in screeners:
        let_stay = named.plugin.screen(cycle, candidates)
        left = left.keep(np.isin(left.positions, let_stay.positions)) if left is not candidates else let_stay
        if not len(left):
            raise ServiceUnavailable(
                "screeners eliminated all endpoint candidates",
                hint=f"screener {named.name!r} left no endpoint",
                reason=DroppedReason.NO_ENDPOINTS,
                retry_after_s=1,
            )
    return left


def produce(cycle: Cycle, candidates: Candidates, producers: tuple[NamedProducer, ...], note_fault: NoteFault) -> None:
    """Fills `cycle.products`; see the module for a producer that fails."""
    for named in producers:
        try:
            cycle.products[named.name] = named.plugin.produce(cycle, candidates)
        except Exception as error:  # noqa: BLE001  consumers do without, which costs a pick its quality and nobody an answer
            note_fault(f"producer {named.name} failed", cycle.request.request_id, error)
