"""session-id-producer: the session that a request belongs to, for plugins that keep sessions together.

session id = the request header headerName, or the cookie cookieName; exactly one of the two is set. The first cookie of
that name counts. Without one the request belongs to no session.
Source: session-id-producer of the reference endpoint picker; cookies: RFC 6265 section 4.2.1.
"""

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle


class SessionIdProducerParameters(Section, frozen=True):
    """Exactly one of the two."""

    header_name: str = ""
    cookie_name: str = ""

    def __post_init__(self) -> None:
        if bool(self.header_name) == bool(self.cookie_name):
            raise ValueError("set either headerName or cookieName")


class SessionIdProducer:
    """Produces the id, empty for no session."""

    def __init__(self, parameters: SessionIdProducerParameters) -> None:
        self._header = parameters.header_name.lower()
        self._cookie = parameters.cookie_name

    def produce(self, cycle: Cycle, candidates: Candidates) -> str:  # noqa: ARG002  protocol's shape
        """See the module."""
        headers = cycle.request.headers
        if self._header:
            return headers.get(self._header, "")
        return cookie_value(headers.get("cookie", ""), self._cookie)


def cookie_value(header: str, name: str) -> str:
    """The value of the first cookie of that name; several `cookie` headers may come joined by commas."""
    for part in header.replace(",", ";").split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value.strip().strip('"')
    return ""
