"""Where the pool comes from: a directory of objects, the file of a file-discovery plugin, or an API server."""

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

from epp.app.flag import FlagError
from epp.app.options import ServeOptions, check_without_cluster
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectSink
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.file_discovery import DEFAULT_NAMESPACE, DEFAULT_POOL_NAME, FileDiscovery
from epp.edge.objects.findings import Notice
from epp.edge.objects.object_store import WantedPool


class ObjectsFrom(Enum):
    """The three places."""

    DIRECTORY = "directory"
    DISCOVERY = "file discovery"
    API_SERVER = "API server"


class ObjectSource(Protocol):
    """Tells an ObjectSink what the pool is."""

    @property
    def problems(self) -> Sequence[InvalidInput]:
        """Everything that is wrong with the objects now."""
        ...

    def poll_once(self) -> None:
        """Looks once, without waiting for anything."""

    async def run(self) -> None:
        """Follows changes until it is cancelled."""


def objects_from(options: ServeOptions, config: PickerConfig) -> ObjectsFrom:
    """The place that flags and configuration name; raises FlagError when they name none or two, or do not fit it."""
    if config.discovery is not None:
        if options.objects is not None:
            problem = f"{config.source} has a file-discovery plugin: endpoints come from one place only"
            raise FlagError("objects", problem)
        check_without_cluster(options)
        return ObjectsFrom.DISCOVERY
    if options.objects is not None:
        return ObjectsFrom.DIRECTORY
    if options.pool_name or options.cluster.endpoint_selector:
        return ObjectsFrom.API_SERVER
    raise FlagError(
        "pool-name",
        "say where the pool is: in a cluster --pool-name NAME (or --endpoint-selector LABELS), without one "
        "--objects PATH with Kubernetes YAML, or a configuration with a file-discovery plugin",
    )


def open_files(
    options: ServeOptions,
    config: PickerConfig,
    sink: ObjectSink,
    on_problem: Callable[[InvalidInput], None],
    on_notice: Callable[[Notice], None],
) -> ObjectSource:
    """The directory, or the file of a file-discovery plugin; raises FlagError where there is neither."""
    if config.discovery is not None:
        return FileDiscovery(
            Path(config.discovery.path),
            sink,
            watch_file=config.discovery.watch_file,
            on_problem=on_problem,
            on_notice=on_notice,
            pool_name=options.pool_name or DEFAULT_POOL_NAME,
            namespace=options.pool_namespace or DEFAULT_NAMESPACE,
        )
    if options.objects is None:
        raise FlagError("objects", "no files were named")
    return ObjectDirectory(
        options.objects,
        sink,
        wanted=WantedPool(options.pool_name, options.pool_namespace, options.pool_group),
        on_problem=on_problem,
        on_notice=on_notice,
    )


def waiting_for(options: ServeOptions, config: PickerConfig) -> str:
    """What the picker waits for while it has no pool."""
    match objects_from(options, config):
        case ObjectsFrom.DISCOVERY if config.discovery is not None:
            return f"no endpoints read yet from {config.discovery.path}"
        case ObjectsFrom.API_SERVER if options.cluster.endpoint_selector:
            return f"the pods with {options.cluster.endpoint_selector} are not read yet from the API server"
        case ObjectsFrom.API_SERVER:
            return f"no InferencePool ({options.pool_name}) read yet from the API server"
        case _:
            return f"no InferencePool ({options.pool_name or 'the only one'}) found yet in {options.objects}"
