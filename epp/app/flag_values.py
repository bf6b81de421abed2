"""The value of one flag, from the text that was typed."""

import ipaddress
from collections.abc import Callable

from epp.app.flag import Flag, FlagError, FlagType
from epp.core.config.durations import parse_duration
from epp.core.config.quantities import parse_quantity

HIGHEST_PORT = 65535
MOST_TARGET_PORTS = 8
TRUE_WORDS = ("true", "1", "t", "yes", "on")
FALSE_WORDS = ("false", "0", "f", "no", "off")

Value = str | int | float | bool | tuple[int, ...]


def parse_value(flag: Flag, text: str) -> Value:
    """The value of one flag; raises FlagError."""
    match flag.type:
        case FlagType.ADDRESS:
            return _address(flag.name, text) if text or flag.default else ""
        case FlagType.PORTS:
            return _ports(flag.name, text)
        case FlagType.INT:
            return _integer(flag.name, text)
        case FlagType.BOOL:
            return _boolean(flag.name, text)
        case FlagType.CHOICE if text not in flag.choices:
            raise FlagError(flag.name, f"{text!r} is none of {', '.join(flag.choices)}")
        case FlagType.DURATION:
            return _parsed(flag.name, parse_duration, text)
        case FlagType.QUANTITY:
            return _parsed(flag.name, parse_quantity, text.removesuffix("B")) if text else 0
        case _:
            return text


def _parsed(name: str, parse: Callable[[str], Value], text: str) -> Value:
    try:
        return parse(text)
    except ValueError as error:
        raise FlagError(name, str(error)) from error


def _integer(name: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise FlagError(name, f"{text!r} is not a whole number") from error
    if name.endswith("-port") and not 0 <= value <= HIGHEST_PORT:
        raise FlagError(name, f"{value} is not a port (0 to {HIGHEST_PORT})")
    return value


def _boolean(name: str, text: str) -> bool:
    word = text.lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise FlagError(name, f"{text!r} is neither true nor false")
    return word in TRUE_WORDS


def means_false(text: str) -> bool:
    """Whether a flag is switched off by `text`, whatever its type."""
    return not text or text.lower() in FALSE_WORDS


def _ports(name: str, text: str) -> tuple[int, ...]:
    """Each port once, in the order of their first mention."""
    ports = dict.fromkeys(_integer(name, part.strip()) for part in text.split(",") if part.strip())
    for port in ports:
        if not 1 <= port <= HIGHEST_PORT:
            raise FlagError(name, f"{port} is not a port (1 to {HIGHEST_PORT})")
    if len(ports) > MOST_TARGET_PORTS:
        raise FlagError(name, f"{len(ports)} ports, at most {MOST_TARGET_PORTS} are allowed")
    return tuple(ports)


def _address(name: str, text: str) -> str:
    """An IP address in its usual spelling; IPv6 may be written in brackets."""
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise FlagError(name, f"{text!r} is not an IP address") from error
