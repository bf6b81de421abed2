"""Command lines of `epp`, read as click reads them, without running anything."""

from collections.abc import Sequence
from typing import Any

import click

from epp.cli.main import main


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """Parameters of a command line that begins with the subcommand; raises click's errors."""
    return _command(words[0]).make_context(words[0], list(words[1:])).params


def default_of(subcommand: str, parameter: str) -> Any:
    """What a parameter is when nothing is given."""
    (found,) = [each for each in _command(subcommand).params if each.name == parameter]
    return found.default


def _command(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command
