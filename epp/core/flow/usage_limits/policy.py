"""What a usage limit policy is."""

from collections.abc import Sequence
from typing import Protocol


class UsageLimitPolicy(Protocol):
    """Gives every band a ceiling: it may go while saturation < ceiling. Gates dispatch, never admission."""

    @property
    def alternates(self) -> bool:
        """Whether asking again, with nothing else changed, may open a band that was closed."""
        ...

    def ceilings(self, saturation: float, priorities: tuple[int, ...]) -> Sequence[float]:
        """One ceiling per band; `priorities` are those of all bands that exist, highest first."""
        ...
