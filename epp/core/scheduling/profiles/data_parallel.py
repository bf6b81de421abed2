"""data-parallel-profile-handler: the pick is a rank of a pod, and all ranks are reached through one port of the pod.

`x-data-parallel-host-port` carries the address that was picked; the request itself goes to the same pod's primaryPort,
where the sidecar passes it on. The header fits one pod only, so there are no fallbacks. Deprecated in the reference:
an endpoint per rank is picked and reached without it.
Source: data-parallel-profile-handler of the reference endpoint picker.
"""

from epp.core.config.parameters import Port
from epp.core.config.structure import Section
from epp.core.domain.endpoint import Endpoint, destination
from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.plugins import Conclusion, ProfileResults
from epp.core.scheduling.profiles.one_profile import OneProfile

DATA_PARALLEL = "x-data-parallel-host-port"


class DataParallelParameters(Section, frozen=True):
    """Parameters of the reference."""

    primary_port: Port = 8000


class DataParallelProfileHandler(OneProfile):
    """See the module."""

    def __init__(self, parameters: DataParallelParameters) -> None:
        super().__init__()
        self._port = parameters.primary_port

    def next_profile(self, cycle: Cycle, names: tuple[str, ...], results: ProfileResults) -> str | None:  # noqa: ARG002
        """The only profile there is."""
        return None if results else names[0]

    def conclude(self, cycle: Cycle, results: ProfileResults) -> Conclusion:  # noqa: ARG002  protocol's shape
        """The only result, through the primary port of its pod."""
        ((name, result),) = results.items()
        if result is None:
            return Conclusion(name)
        picked = result.endpoint
        return Conclusion(
            name,
            request_headers=((DATA_PARALLEL, picked.destination),),
            destination=through_port(picked, self._port),
        )


def through_port(endpoint: Endpoint, port: int) -> str:
    """`ip:port` of another port of the endpoint's pod."""
    return destination(endpoint.address, port)
