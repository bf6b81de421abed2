"""header-based-testing-filter: the request itself names who may serve it. For conformance tests only.

The header `test-epp-endpoint-selection` holds a comma list of `IP`, `IP:port` or `[IPv6]:port`. The order of the
header is kept, every address counts once, unknown ones are ignored; without the header nobody is left, as in the
reference.
"""

from epp.core.scheduling.cycle import Candidates, Cycle

HEADER = "test-epp-endpoint-selection"


class HeaderBasedTestingFilter:
    """See the module."""

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """The named candidates, in the order of the header."""
        offered = {position: index for index, position in enumerate(candidates.positions.tolist())}
        chosen: dict[str, int] = {}
        snapshot = cycle.snapshot
        for entry in cycle.request.headers.get(HEADER, "").split(","):
            position = snapshot.by_destination.get(name := entry.strip())
            positions = (position,) if position is not None else snapshot.by_address.get(name.strip("[]"), ())
            for found in positions:
                if found in offered:
                    chosen.setdefault(snapshot.endpoints[found].address, offered[found])
        return candidates.keep(list(chosen.values()))
