"""Where the pool comes from: a directory of objects, or the file of a file-discovery plugin."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from epp.app.options import FlagError, ServeOptions
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectSink
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.file_discovery import DEFAULT_NAMESPACE, DEFAULT_POOL_NAME, FileDiscovery
from epp.edge.objects.findings import Notice
from epp.edge.objects.object_store import WantedPool


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


def open_object_source(
    options: ServeOptions,
    config: PickerConfig,
    sink: ObjectSink,
    on_problem: Callable[[InvalidInput], None],
    on_notice: Callable[[Notice], None],
) -> ObjectSource:
    """The source that flags and configuration ask for; raises FlagError when they ask for none or for two."""
    if config.discovery is not None and options.objects is not None:
        raise FlagError("objects", f"{config.source} has a file-discovery plugin: endpoints come from one place only")
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
    if options.objects is not None:
        return ObjectDirectory(
            options.objects,
            sink,
            wanted=WantedPool(options.pool_name, options.pool_namespace, options.pool_group),
            on_problem=on_problem,
            on_notice=on_notice,
        )
    raise FlagError(
        "objects",
        "say where the pool is: --objects PATH with Kubernetes YAML, or a configuration with a file-discovery plugin "
        "(this version does not read from an API server)",
    )


def waiting_for(options: ServeOptions, config: PickerConfig) -> str:
    """What the picker waits for while it has no pool."""
    if config.discovery is not None:
        return f"no endpoints read yet from {config.discovery.path}"
    wanted = options.pool_name or "the only one"
    return f"no InferencePool ({wanted}) found yet in {options.objects}"
