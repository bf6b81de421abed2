"""`epp serve`: the endpoint picker."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from epp.app.flag import Flag, FlagType, Group
from epp.app.flags import FLAGS
from epp.core.domain.errors import PickerError

HELP = """The endpoint picker: answers Envoy over ext_proc.

\b
Examples:
  epp serve --pool-name vllm --pool-namespace default   in a pod of a cluster, or with a kubeconfig
  epp serve --objects pool/                      a pool from YAML files, TLS with a self-signed certificate
  epp serve --objects pool/ --config-file c.yaml --secure-serving=false --envoy-eds eds/endpoints.yaml
  epp serve --config-text "$(cat picker.yaml)"   endpoints from a file-discovery plugin, no Kubernetes objects
"""


class ServeCommand(click.Command):
    """Understands Go's spellings (`-pool-name x`, `--secure-serving`, `--secure-serving=false`); help by group."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turns one dash before a long name into two."""
        return super().parse_args(ctx, [_two_dashes(word) for word in args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """One section per group."""
        for group in Group:
            with formatter.section(group.value):
                formatter.write_dl([_row(flag) for flag in FLAGS if flag.group is group])
        with formatter.section("Other"):
            formatter.write_dl([("-h, --help", "show this text and exit")])


def _two_dashes(word: str) -> str:
    """`-pool-name` and `-v=4` as Go's flag package takes them; `-v 4` is left to click."""
    name, equals, _ = word[1:].partition("=")
    is_go_style = word.startswith("-") and name in _NAMES and (len(name) > 1 or bool(equals))
    return f"-{word}" if is_go_style else word


def _row(flag: Flag) -> tuple[str, str]:
    name = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
    values = "|".join(flag.choices) or ("" if flag.type is FlagType.BOOL else flag.type.value)
    defaults = filter(None, (f"${flag.variable}" if flag.variable else "", flag.default))
    default = f"  [default: {text}]" if (text := ", ".join(defaults)) else ""
    return f"{name} {values}".rstrip(), flag.text + default


def _option(name: str, type_: FlagType, short: str = "") -> click.Option:
    declarations = [f"--{name}", name.replace("-", "_")]
    if short:
        declarations.insert(0, f"-{short}")
    if type_ is FlagType.PORTS:
        return click.Option(declarations, multiple=True)
    if type_ is FlagType.BOOL:
        return click.Option(declarations, is_flag=False, flag_value="true", default=None)
    return click.Option(declarations, default=None)


_NAMES = {flag.name for flag in FLAGS}


def as_written(given: Mapping[str, str | Sequence[str] | None]) -> dict[str, str]:
    """Flags by their names as they were typed, without those that were not; parts of a list are put together."""
    return {
        name.replace("_", "-"): text if isinstance(text, str) else ",".join(text)
        for name, text in given.items()
        if text is not None and text != ()
    }


def _run(**given: str | Sequence[str] | None) -> None:
    from epp.app.flag import FlagError
    from epp.app.options import parse_flags
    from epp.edge.extproc.tls_limits import limit_tls

    try:
        options = parse_flags(as_written(given), os.environ)
    except FlagError as error:
        raise click.UsageError(str(error)) from error
    limit_tls(os.environ, only_1_3=options.only_tls_1_3, ciphers=options.tls_1_2_ciphers)
    with without_module("rich"):  # structlog loads it where it can, for which a picker pays 4 MiB
        from epp.app.event_loop import loop_factory
        from epp.app.serve import serve

    try:
        with asyncio.Runner(loop_factory=loop_factory(options)) as runner:
            runner.run(serve(options))
    except PickerError as error:
        click.echo(f"epp serve: {error}", err=True)
        sys.exit(1)


@contextmanager
def without_module(name: str) -> Iterator[None]:
    """Whoever imports the module inside does without it, unless it was imported before."""
    if name in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


def _parameters() -> Sequence[click.Parameter]:
    return [_option(flag.name, flag.type, flag.short) for flag in FLAGS]


command = ServeCommand(
    "serve",
    callback=_run,
    params=list(_parameters()),
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
