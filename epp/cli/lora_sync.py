"""`epp lora-sync`: the LoRA adapter syncer."""

import asyncio
import ipaddress
import sys
from pathlib import Path
from typing import Any

import click

from epp.core.domain.errors import PickerError

CONFIG_VARIABLE = "DYNAMIC_LORA_ROLLOUT_CONFIG"
DEFAULT_CONFIG = "/config/configmap.yaml"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  Prometheus and probes come from other hosts; the reference listens like that


def _ip_address(_: click.Context, __: click.Parameter, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not an IP address") from error


@click.command(
    "lora-sync",
    context_settings={"show_default": True, "help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--config",
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    default=DEFAULT_CONFIG,
    type=click.Path(path_type=Path),
    help="File with vLLMLoRAConfig, followed while it changes; may come later.",
)
@click.option(
    "--config-validation",
    is_flag=False,
    flag_value="true",
    default="true",
    type=bool,
    metavar="true|false",
    help="Refuse a file that has a mistake; false: leave out the entries with mistakes.",
)
@click.option(
    "--health-check-timeout",
    default=300.0,
    type=click.FloatRange(min=0),
    help="Seconds that a reconcile waits for GET /health to answer 200.",
)
@click.option(
    "--health-check-interval",
    default=2.0,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds between two looks at /health.",
)
@click.option(
    "--reconcile-trigger",
    default=5.0,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds between two reconciles when nothing happens.",
)
@click.option(
    "--request-timeout",
    default=10.0,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for each request to the model server but loads.",
)
@click.option(
    "--load-timeout",
    default=300.0,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds for loading one adapter, which may have to be fetched first.",
)
@click.option("--host", default="", help="Host of the model server, instead of the configuration's.")
@click.option(
    "--port",
    default=0,
    type=click.IntRange(0, 65_535),
    help="Port of the model server, instead of the configuration's.",
)
@click.option(
    "--metrics-address", default=EVERY_ADDRESS, callback=_ip_address, help="Address of /metrics, /healthz and /readyz."
)
@click.option(
    "--metrics-port",
    default=8080,
    type=click.IntRange(0, 65_535),
    help="Port of /metrics, /healthz and /readyz; 0 takes a free one.",
)
@click.option("--once", is_flag=True, help="Reconcile one time; exit with 0 if everything is as wished, else with 1.")
@click.option("-v", "--v", "verbosity", default=2, help="Log level: 0-1 trouble; 2 what changed; 3 each reconcile.")
@click.option(
    "--log-format",
    default="auto",
    type=click.Choice(["auto", "json", "console"]),
    help="JSON, or lines for people when stderr is a terminal.",
)
@click.option(
    "--ready-file",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON written once the pages are served: {metrics_port}.",
)
def command(**given: Any) -> None:
    """Make a vLLM server serve the LoRA adapters that a file asks for; a side-car of the server's pod.

    The server must run with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=true.

    \b
    Examples:
      epp lora-sync                                   in a pod, with the ConfigMap mounted at /config
      epp lora-sync --config adapters.yaml --port 8001 --metrics-address 127.0.0.1
      epp lora-sync --config adapters.yaml --once     for scripts and CI
    """
    from epp.app.lora_sync import LoraSyncOptions, lora_sync

    seconds = ("health_check_timeout", "health_check_interval", "reconcile_trigger", "request_timeout", "load_timeout")
    options = LoraSyncOptions(**{f"{name}_s" if name in seconds else name: value for name, value in given.items()})
    try:
        asyncio.run(lora_sync(options))
    except PickerError as error:
        click.echo(f"epp lora-sync: {error}", err=True)
        sys.exit(1)
