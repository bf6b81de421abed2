"""What handlers that run one profile per request have in common: its pick answers, or nobody does."""

from epp.core.domain.errors import ResourceExhausted
from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.plugins import Conclusion, ProfileResults


class OneProfile:
    """The second half of a ProfileHandler."""

    def __init__(self) -> None:
        self._conclusions: dict[str, Conclusion] = {}
        """one per profile, so that a request makes none"""

    def profile_failed(self, cycle: Cycle, name: str, refusal: ResourceExhausted) -> None:  # noqa: ARG002  protocol
        """Raises the refusal."""
        raise refusal

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:  # noqa: ARG002  protocol's shape
        """The only result is the answer."""
        (name,) = results
        found = self._conclusions.get(name)
        if found is None:
            found = self._conclusions[name] = Conclusion(name)
        return found
