"""Logs: structlog to stderr, one line per event, quiet unless something is wrong or -v asks for more.

| -v   | shown                                          |
|------|------------------------------------------------|
| 0, 1 | warnings and errors                            |
| 2    | start, stop, and what changed (info; default)  |
| 3    | background work (verbose)                      |
| 4    | every request (debug)                          |
| 5    | everything, and debug lines of the libraries   |

A disabled level costs the call of an empty method. Configure once, before the first line is logged.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal, Protocol, TextIO

from epp.edge.observe.left_out import left_out

with left_out("rich"):  # for tracebacks in colour, which nobody sees here: 3 MiB of every picker
    import structlog

VERBOSE = 15
TRACE = 5
DEFAULT_VERBOSITY = 2
_THRESHOLDS = (logging.WARNING, logging.WARNING, logging.INFO, VERBOSE, logging.DEBUG, TRACE)
LogFormat = Literal["auto", "json", "console"]


class Logger(Protocol):
    """What `get_logger` gives; fields are keywords."""

    def bind(self, **fields: object) -> "Logger": ...
    def is_enabled_for(self, level: int) -> bool: ...
    def trace(self, event: str, **fields: object) -> None: ...
    def debug(self, event: str, **fields: object) -> None: ...
    def verbose(self, event: str, **fields: object) -> None: ...
    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...


def get_logger(component: str) -> Logger:
    """A logger whose lines carry `component`; one made before `configure_logs` works too, but is slower."""
    logger = structlog.get_logger(component=component)
    ready: Logger = logger.bind() if structlog.is_configured() else logger
    return ready


class _LineLogger(structlog.PrintLogger):
    """Writes lines; has a method per level."""

    verbose = trace = structlog.PrintLogger.msg


def configure_logs(
    verbosity: int = DEFAULT_VERBOSITY,
    log_format: LogFormat = "auto",
    stream: TextIO | None = None,
    fields: Mapping[str, object] | None = None,
) -> None:
    """Sets up structlog and the standard library's logging for the whole process; `stream` defaults to stderr.

    `fields` are in every line.
    `auto` is console on a terminal and JSON elsewhere. Verbosity below 0 counts as 0, above 5 as 5.
    """
    stream = sys.stderr if stream is None else stream
    threshold = _THRESHOLDS[max(0, min(verbosity, len(_THRESHOLDS) - 1))]
    is_console = log_format == "console" or (log_format == "auto" and stream.isatty())
    finish: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, _json_line]
    if is_console:
        finish = [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
                pad_event_to=0,
            )
        ]
    always = dict(fields or {})
    shared: list[structlog.typing.Processor] = [
        lambda _logger, _method, event: {**event, **always},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=_logger_class(threshold),
        logger_factory=lambda *_: _LineLogger(stream),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(verbosity, [*shared, _library_component], finish, stream)


def _configure_libraries(
    verbosity: int,
    shared: list[structlog.typing.Processor],
    finish: list[structlog.typing.Processor],
    stream: TextIO,
) -> None:
    """Lines of aiohttp, asyncio and the like look the same and go the same way."""
    handler = logging.StreamHandler(stream)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *finish]))
    root = logging.getLogger()
    for former in [
        known for known in root.handlers if isinstance(known.formatter, structlog.stdlib.ProcessorFormatter)
    ]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbosity >= 5 else logging.WARNING)


def _library_component(
    logger: Any,  # noqa: ARG001  the shape of a processor
    method: str,  # noqa: ARG001
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["component"] = record.name
    return event


def _json_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:  # noqa: ARG001  see above
    """ASCII only, so that nothing a client sent can break a line or its encoding."""
    return json.dumps(event, default=str)


def _logger_class(threshold: int) -> type[Any]:
    """structlog's filtering logger with the reference's two levels more."""
    standard = next(level for level in (10, 20, 30) if level >= threshold)
    base = structlog.make_filtering_bound_logger(standard)
    return type(
        "PickerLogger",
        (base,),
        {
            "verbose": _method("verbose", threshold <= VERBOSE),
            "trace": _method("trace", threshold <= TRACE),
            "is_enabled_for": lambda self, level: level >= threshold,  # noqa: ARG005  a method
            "get_effective_level": lambda self: threshold,  # noqa: ARG005  a method
        },
    )


def _method(name: str, is_enabled: bool) -> Callable[..., None]:
    if not is_enabled:
        return lambda self, event, **fields: None  # noqa: ARG005  a method

    def log(self: Any, event: str, **fields: object) -> None:
        self._proxy_to_logger(name, event, **fields)

    return log
