"""A line y = a + b * x that is learned from samples one by one, slowly, and never far from where it began."""

import math

MEMORY_SAMPLES = 200.0
"""older samples fade: the last so many count"""
PRIOR_SAMPLES = 0.5
"""so many samples weigh as much as the beginning"""
FARTHEST = 10.0
"""each coefficient stays within this factor of its beginning"""
LARGEST_RESIDUAL = 3.0
"""in usual residuals; what is farther off counts as this far"""
RESIDUAL_RATE = 0.05
SMALLEST_USUAL = 0.1
"""a usual residual is at least this share of what was expected"""
LARGEST_VALUE = 1e6
"""a sample with a larger number in it is none"""


class RobustLine:
    """Least squares over fading samples, pulled towards the beginning, with far-off samples drawn in.

    With no sample the line is the one it began with. A sample that is no number changes nothing; one that is absurd
    counts as one a few usual residuals away; many of them in a row move the line, at most by FARTHEST.
    """

    def __init__(self, a: float, b: float) -> None:
        self.a = self._first_a = a
        self.b = self._first_b = b
        self.samples = 0
        self._usual = 0.0
        self._w = self._wx = self._wxx = self._wy = self._wxy = 0.0

    def learn(self, x: float, y: float, weight: float = 1.0) -> None:
        """One sample; `weight` 0..1."""
        if not (0.0 <= x <= LARGEST_VALUE and 0.0 < y <= LARGEST_VALUE and 0.0 < weight <= 1.0):
            return
        expected = self.a + self.b * x
        residual = y - expected
        if not self.samples:
            self._usual = expected / LARGEST_RESIDUAL
        most = LARGEST_RESIDUAL * max(self._usual, SMALLEST_USUAL * expected)
        residual = min(max(residual, -most), most)
        self._usual += RESIDUAL_RATE * (abs(residual) - self._usual)
        self._add(x, expected + residual, weight)
        self.samples += 1
        self._solve()

    def _add(self, x: float, y: float, weight: float) -> None:
        keep = 1.0 - weight / MEMORY_SAMPLES
        self._w = self._w * keep + weight
        self._wx = self._wx * keep + weight * x
        self._wxx = self._wxx * keep + weight * x * x
        self._wy = self._wy * keep + weight * y
        self._wxy = self._wxy * keep + weight * x * y

    def _solve(self) -> None:
        """The two normal equations, with the beginning as PRIOR_SAMPLES further samples.

        A coefficient that doubles is held to be as unlikely for either of them, so that where samples cannot tell
        them apart (all have the same x) the one that matters more moves.
        """
        usual_y = self._wy / self._w
        first_weight = PRIOR_SAMPLES * (usual_y / self._first_a) ** 2
        second_weight = PRIOR_SAMPLES * (usual_y / self._first_b) ** 2
        m11, m12, m22 = self._w + first_weight, self._wx, self._wxx + second_weight
        y1, y2 = self._wy + first_weight * self._first_a, self._wxy + second_weight * self._first_b
        determinant = m11 * m22 - m12 * m12
        if determinant <= 0.0 or not math.isfinite(determinant):
            return
        self.a = _near((y1 * m22 - y2 * m12) / determinant, self._first_a)
        self.b = _near((y2 - m12 * self.a) / m22, self._first_b)


def _near(value: float, beginning: float) -> float:
    return min(max(value, beginning / FARTHEST), beginning * FARTHEST)
