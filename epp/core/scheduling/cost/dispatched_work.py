"""How much prefill is dispatched: the load of the pool, and what a request usually brings."""

import math
from typing import Final

ALMOST_FULL: Final = 0.99
"""a load above this counts as this"""
REQUEST_RATE: Final = 0.05


class DispatchedWork:
    """Prefill seconds that were sent, fading with the window: rho = what is left / (window * endpoints)."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._work_s = 0.0
        self._at = 0.0
        self.usual_s = 0.0
        """prefill seconds of a request, as a moving mean"""

    def add(self, work_s: float, now: float) -> None:
        """A request with so many prefill seconds was sent."""
        self.usual_s = self.usual_s + REQUEST_RATE * (work_s - self.usual_s) if self._work_s else work_s
        self._work_s = self._left_s(now) + work_s
        self._at = now

    def load_factor(self, endpoints: int, ceiling: float, now: float) -> float:
        """g = min(ceiling, rho / (1 - rho))."""
        rho = min(self._left_s(now) / (self._window_s * max(1, endpoints)), ALMOST_FULL)
        return min(ceiling, rho / (1.0 - rho))

    def _left_s(self, now: float) -> float:
        return self._work_s * math.exp(min(0.0, self._at - now) / self._window_s)
