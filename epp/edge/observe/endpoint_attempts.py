"""Scheduling attempts per target model and endpoint; those of an endpoint that left the pool are dropped later.

They stay for five minutes, Prometheus' own look-back, so that the last counts are scraped and an endpoint that flaps
does not start at zero.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from epp.core.domain.endpoint import Endpoint
from epp.edge.observe.label_values import OTHER

KEPT_AFTER_LEAVING_S: Final = 300.0
MOST_SERIES: Final = 20_000
AttemptKey = tuple[str, str, str, str, str]
"""status, target model, pod, namespace, port"""


class _Place:
    __slots__ = ("by_model", "gone_at", "labels")

    def __init__(self, endpoint: Endpoint) -> None:
        self.labels = (endpoint.pod, endpoint.namespace, str(endpoint.port))
        self.by_model: dict[str, int] = {}
        self.gone_at: float | None = None


class EndpointAttempts:
    """Counts; model names come with their number bounded already."""

    def __init__(self, most_series: int = MOST_SERIES) -> None:
        self._most_series = most_series
        self._series = 0
        self._places: dict[tuple[str, int], _Place] = {}
        self._failed: dict[str, int] = {}

    def succeeded(self, model: str, endpoint: Endpoint) -> None:
        """A request for `model` was given to `endpoint`."""
        who = (endpoint.name, endpoint.port)
        place = self._places.get(who)
        if place is None:
            place = self._places[who] = _Place(endpoint)
        counts = place.by_model
        if model not in counts:
            if self._series >= self._most_series:
                model = OTHER
            if model not in counts:
                self._series += 1
        counts[model] = counts.get(model, 0) + 1

    def failed(self, model: str) -> None:
        """No endpoint was found for a request for `model`."""
        self._failed[model] = self._failed.get(model, 0) + 1

    def forget_vanished(self, present: Iterable[Endpoint], now: float) -> None:
        """Drops the counts of endpoints that have been away for long enough."""
        here = {(endpoint.name, endpoint.port) for endpoint in present}
        for who, place in tuple(self._places.items()):
            if who in here:
                place.gone_at = None
            elif place.gone_at is None:
                place.gone_at = now
            elif now - place.gone_at >= KEPT_AFTER_LEAVING_S:
                self._series -= len(self._places.pop(who).by_model)

    def series(self) -> Iterator[tuple[AttemptKey, float]]:
        """All counts; may be called from another thread."""
        for model, count in tuple(self._failed.items()):
            yield ("failure", model, "", "", ""), count
        for place in tuple(self._places.values()):
            for model, count in tuple(place.by_model.items()):
                yield ("success", model, *place.labels), count
