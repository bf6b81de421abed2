"""How busy the pickers are, for whoever hands them connections.

What a picker has open at one moment says little, and the requests of a connection that was made just now have still to
come. So open requests are looked at once a second and smoothed, and a connection that came after the last look counts
as much as a connection does on average.
"""

from collections.abc import Mapping

LOOK_EVERY_S = 1.0
KEPT_PER_LOOK = 0.5
"""of what was seen before"""


class PickerLoads:
    """Pure; by the number of the picker."""

    def __init__(self) -> None:
        self._requests: dict[int, float] = {}
        """smoothed"""
        self._connections: dict[int, int] = {}
        """at the last look"""
        self._usual = 0.0
        """requests on a connection"""

    def look(self, requests: Mapping[int, int], connections: Mapping[int, int]) -> None:
        """What every picker has open."""
        former = self._requests
        self._requests = {
            number: count + KEPT_PER_LOOK * (former.get(number, count) - count) for number, count in requests.items()
        }
        self._connections = dict(connections)
        open_connections = sum(connections.values())
        self._usual = sum(self._requests.values()) / open_connections if open_connections else 0.0

    def load(self, number: int, connections: int) -> float:
        """Requests that a picker with so many connections has to be expected to have open; 0 before the first look."""
        since = connections - self._connections.get(number, 0)
        return max(0.0, self._requests.get(number, 0.0) + since * self._usual)
