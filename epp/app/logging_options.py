"""Logs of a process of `epp serve`, as the flags say."""

from epp.app.options import ServeOptions
from epp.edge.observe.logs import LogFormat, configure_logs


def configure_process_logs(options: ServeOptions, *, picker: int | None = None) -> None:
    """`picker` is the number of a picker process, which each of its lines says."""
    log_format: LogFormat = "auto"
    if options.log_format == "json":
        log_format = "json"
    elif options.log_format == "console":
        log_format = "console"
    configure_logs(options.verbosity, log_format, fields={} if picker is None else {"picker": picker})
