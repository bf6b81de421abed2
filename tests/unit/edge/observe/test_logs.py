import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from epp.edge.observe.logs import TRACE, VERBOSE, LogFormat, configure_logs, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is one per process: put back what the next test expects."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def events(verbosity: int) -> list[str]:
    """Which of one line per level are written."""
    stream = io.StringIO()
    configure_logs(verbosity, "json", stream)
    log = get_logger("test")
    log.error("error")
    log.warning("warning")
    log.info("info")
    log.verbose("verbose")
    log.debug("debug")
    log.trace("trace")
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        (-1, "error warning"),
        (0, "error warning"),
        (1, "error warning"),
        (2, "error warning info"),
        (3, "error warning info verbose"),
        (4, "error warning info verbose debug"),
        (5, "error warning info verbose debug trace"),
        (9, "error warning info verbose debug trace"),
    ],
)
def test_verbosity_opens_one_level_after_the_other(verbosity: int, expected: str) -> None:
    assert events(verbosity) == expected.split()


@pytest.mark.parametrize(
    ("verbosity", "enabled"), [(2, [logging.INFO]), (3, [logging.INFO, VERBOSE]), (5, [logging.INFO, VERBOSE, TRACE])]
)
def test_expensive_lines_can_ask_first(verbosity: int, enabled: list[int]) -> None:
    configure_logs(verbosity, "json", io.StringIO())
    log = get_logger("test")

    assert [level for level in (logging.INFO, VERBOSE, TRACE) if log.is_enabled_for(level)] == enabled


def line(log_format: LogFormat, stream: io.StringIO, event: str = "started", **fields: Any) -> str:
    configure_logs(2, log_format, stream)
    get_logger("app").info(event, **fields)
    return stream.getvalue()


def test_json_lines_have_time_level_component_and_fields() -> None:
    written = json.loads(line("json", io.StringIO(), port=9002))

    moment = datetime.fromisoformat(written.pop("time"))
    assert moment.tzinfo == UTC
    assert written == {"event": "started", "level": "info", "component": "app", "port": 9002}


def test_auto_is_console_on_a_terminal_and_json_elsewhere() -> None:
    assert line("auto", io.StringIO()).startswith("{")
    assert "started" in (written := line("auto", Terminal()))
    assert "\x1b[" in written, "colours on a terminal"


def test_console_without_a_terminal_has_no_colours() -> None:
    written = line("console", io.StringIO(), port=9002)

    assert "\x1b[" not in written
    assert "started" in written
    assert "port=9002" in written


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_a_client_sends_breaks_a_line(log_format: LogFormat) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    configure_logs(2, log_format, stream)

    get_logger("app").info("refused", model='a\nlevel=error\r\x1b[2J\ud800"')

    stream.buffer.seek(0)
    written = stream.buffer.read().decode()
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert "\r" not in written


def test_an_exception_is_written_with_its_traceback_on_one_json_line() -> None:
    stream = io.StringIO()
    configure_logs(2, "json", stream)
    try:
        raise ValueError("broken")
    except ValueError as error:
        get_logger("app").error("fault", exc_info=error)

    (written,) = map(json.loads, stream.getvalue().splitlines())
    assert written["exception"].endswith("ValueError: broken")


def test_libraries_write_the_same_way_from_warnings_on() -> None:
    stream = io.StringIO()
    configure_logs(2, "json", stream)

    logging.getLogger("aiohttp.server").info("quiet")
    logging.getLogger("aiohttp.server").warning("loud %s", "words")

    (written,) = map(json.loads, stream.getvalue().splitlines())
    assert (written["event"], written["level"], written["component"]) == ("loud words", "warning", "aiohttp.server")


def test_configuring_again_replaces_the_former_way_of_the_libraries() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logs(2, "json", first)
    configure_logs(5, "json", second)

    logging.getLogger("library").debug("once")

    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_bound_fields_stay() -> None:
    stream = io.StringIO()
    configure_logs(2, "json", stream)

    get_logger("app").bind(request_id="r-1").warning("slow")

    assert json.loads(stream.getvalue())["request_id"] == "r-1"
