"""`epp`: one program for all parts. Subcommands are imported when they run, so that `epp --help` is quick."""

from importlib import import_module

import click

from epp import __version__
from epp.app.compiled import is_compiled

SUBCOMMANDS: dict[str, str] = {
    "serve": "the endpoint picker: answers Envoy over ext_proc",
    "up": "the local stack: fake vLLM pods, the picker and a real Envoy, with sample traffic",
    "lora-sync": "beside a vLLM server: makes it serve the LoRA adapters that a file asks for",
    "check": "what is wrong with configuration files, or what they resolve to",
    "kube-api": "a Kubernetes API server in memory, for trying the picker without a cluster",
    "fake-vllm": "OpenAI-compatible fake model servers for tests and demonstrations",
}
HIDDEN = ("serve-picker",)
"""started by other subcommands only"""


class LazyGroup(click.Group):
    """Imports `epp.cli.<name>` and takes its `command` when the subcommand is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """In the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The imported command, None for an unknown name."""
        if cmd_name not in (*SUBCOMMANDS, *HIDDEN):
            return None
        command: click.Command = import_module(f"epp.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """From the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(f"{__version__}, compiled" if is_compiled() else __version__, prog_name="epp")
def main() -> None:
    """Endpoint picker: tells Envoy which model server should serve each LLM request.

    \b
    Examples:
      epp up                                try it: a local stack with sample traffic
      epp serve --objects pool/             serve a pool described by YAML files
      epp serve --help                      every flag
    """
