"""What cannot work with several picker processes, and is refused at the start with the reason and a way out."""

from collections.abc import Mapping
from typing import Any

from epp.app.flag import FlagError
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.session_bonds import SessionAffinityParameters

HIGHEST_PORT = 65535
MOST_PICKERS = 64


def check_workers(workers: int, values: Mapping[str, Any]) -> None:
    """Raises FlagError for flags that do not go together; `values` by name."""
    if not 0 <= workers <= MOST_PICKERS:
        raise FlagError("workers", f"{workers} is not from 0 to {MOST_PICKERS}")
    has_ports = bool(values["worker-ports"])
    if not workers:
        if has_ports:
            raise FlagError("worker-ports", "means something only with --workers")
        return
    if values["transport"] == "grpcio" and not has_ports:
        raise FlagError(
            "workers",
            "the gRPC library takes no connections of another process: give --worker-ports, or --transport native",
        )
    if has_ports and values["grpc-port"] + workers - 1 > HIGHEST_PORT:
        raise FlagError("worker-ports", f"{workers} ports from --grpc-port {values['grpc-port']} on do not exist")
    first = values["grpc-port"]
    for name in ("grpc-health-port", "metrics-port"):
        if has_ports and first and first <= values[name] < first + workers:
            raise FlagError(
                "worker-ports",
                f"the pickers have the ports {first} to {first + workers - 1}, and --{name} is {values[name]}: choose "
                f"another one",
            )


def check_config(config: PickerConfig, workers: int) -> None:
    """Raises FlagError for a configuration that needs one picker, where there are more."""
    if workers <= 1:
        return
    if config.gates.flow_control:
        raise FlagError(
            "workers",
            f"{config.source} enables the feature gate flowControl, whose queues and slots are exact with one picker "
            f"only: use --workers 1 (or 0), or take flowControl out of featureGates",
        )
    for settings in config.plugins:
        parameters = settings.parameters
        if isinstance(parameters, SessionAffinityParameters) and (
            parameters.strategy == "session_id" or parameters.session_id_producer_name
        ):
            raise FlagError(
                "workers",
                f"{config.source}: plugin {settings.name!r} remembers sessions by their id (strategy session_id), and "
                f"one picker does not know the sessions of another: use --workers 1 (or 0), or the strategy "
                f"encoded_endpoint_header",
            )
