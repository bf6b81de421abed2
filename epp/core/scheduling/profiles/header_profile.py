"""header-profile-handler: a request header names the profile that serves the request.

The value of `headerName` (default `EPP-Profile`) is the name of the profile; without the header it is `defaultProfile`
(default `decode`). The only profile of a configuration serves every request. An unknown name is refused.
Source: header-profile-handler of the reference endpoint picker.
"""

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.errors import ResourceExhausted
from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.plugins import ProfileResults
from epp.core.scheduling.profiles.one_profile import OneProfile


class HeaderProfileParameters(Section, frozen=True):
    """Parameters of the reference."""

    header_name: Text = "EPP-Profile"
    default_profile: Text = "decode"


class HeaderProfileHandler(OneProfile):
    """See the module."""

    def __init__(self, parameters: HeaderProfileParameters) -> None:
        super().__init__()
        self._shown = parameters.header_name
        self._header = parameters.header_name.lower()
        self._default = parameters.default_profile

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:
        """The named profile; raises ResourceExhausted (the reference's status) for a name that is none."""
        if results:
            return None
        if len(names) == 1:
            return names[0]
        named = cycle.request.headers.get(self._header)
        wanted = named or self._default
        if wanted in names:
            return wanted
        origin = f"header {self._shown}" if named else f"defaultProfile, because there is no header {self._shown},"
        raise ResourceExhausted(
            "failed to find target endpoint: no scheduling profile for the request",
            hint=f"{origin} names the profile {wanted[:100]!r}; there are {', '.join(names)}",
        )
