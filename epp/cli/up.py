"""`epp up`: the local stack."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click

from epp.core.config.built_in_policies import DEFAULT_POLICY, POLICIES


@click.command("up", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--once", is_flag=True, help="Send a fixed number of requests, verify where each went, and exit.")
@click.option("--pods", default=4, show_default=True, type=click.IntRange(1, 64), help="Number of fake vLLM pods.")
@click.option("--kube", is_flag=True, help="Keep the objects in an API server, with RBAC; without it, in files.")
@click.option(
    "--pickers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 8),
    help="With --kube: number of pickers, of which one leads.",
)
@click.option(
    "--workers",
    default=0,
    show_default=True,
    type=click.IntRange(0, 16),
    help="Picker processes, each with a port of its own; 0: one process does everything.",
)
@click.option(
    "--body-mode",
    default="buffered",
    show_default=True,
    type=click.Choice(["buffered", "full-duplex"]),
    help="How Envoy sends bodies to the picker.",
)
@click.option(
    "--failure-mode",
    default="open",
    show_default=True,
    type=click.Choice(["open", "close"]),
    help="Without the picker: let requests through, or refuse them.",
)
@click.option("--secure", is_flag=True, help="TLS between Envoy and the picker.")
@click.option(
    "--config-file",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="EndpointPickerConfig for the picker.",
)
@click.option(
    "--policy",
    type=click.Choice(tuple(POLICIES)),
    help=f"Built-in policy for the picker, in place of a file.  [default: {DEFAULT_POLICY}]",
)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port for clients; a free one if it is taken.",
)
@click.option(
    "--rate",
    default=8.0,
    show_default=True,
    type=click.FloatRange(0, 500),
    help="Sample requests per second (without --once); 0: none.",
)
@click.option(
    "--requests", default=120, show_default=True, type=click.IntRange(1, 1000), help="Sample requests (with --once)."
)
@click.option(
    "--concurrency",
    default=12,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Sample requests at once (with --once).",
)
@click.option("--kill-picker", is_flag=True, help="With --once: kill the picker half-way; no request may fail.")
@click.option(
    "--speed",
    default=None,
    type=click.FloatRange(0.1, 1000),
    help="Divides every duration of the fake pods.  [default: 1, with --once 10]",
)
@click.option("--seed", default=1, show_default=True, help="Of the sample traffic.")
def command(**options: Any) -> None:
    """The local stack: fake vLLM pods, the picker, and a real Envoy between you and them.

    \b
    Examples:
      epp up                                     live table until Ctrl-C
      epp up --once                              verify that every request went where the decision said
      epp up --once --body-mode full-duplex --secure
      epp up --once --kill-picker                fail-open: no request is lost when the picker dies
      epp up --config-file picker.yaml --rate 20
      epp up --kube --pickers 2                  objects in an API server to try kubectl on, and a standby
    """
    if options["policy"] and options["config_file"]:
        raise click.UsageError("give --policy or --config-file")
    if options["pickers"] > 1 and not options["kube"]:
        raise click.UsageError("several pickers choose their leader in an API server: add --kube")
    from epp.core.domain.errors import PickerError
    from epp.lab.child_process import ChildError
    from epp.lab.envoy_process import EnvoyError
    from epp.lab.shipped_files import ShippedFileError

    try:
        succeeded = asyncio.run(_up(**options))
    except KeyboardInterrupt:
        return
    except (ChildError, EnvoyError, PickerError, ShippedFileError) as error:
        click.echo(f"epp up: {error}", err=True)
        sys.exit(1)
    sys.exit(0 if succeeded else 1)


async def _up(
    *, once: bool, port: int, speed: float | None, config_file: Path | None, policy: str | None, **options: Any
) -> bool:
    from rich.console import Console

    from epp.lab.live import run_live
    from epp.lab.picker_replica import LOOPBACK
    from epp.lab.plan import StackPlan, free_port
    from epp.lab.stack import LocalStack
    from epp.lab.table import curl_line

    console = Console()
    policy_flags = (f"--policy={policy}",) if policy else ()
    worker_flags = (f"--workers={options['workers']}", "--worker-ports") if options["workers"] else ()
    plan = StackPlan(
        pods=options["pods"],
        kube=options["kube"],
        pickers=options["pickers"],
        body_mode=options["body_mode"],
        failure_mode=options["failure_mode"],
        secure=options["secure"],
        config_file=config_file,
        picker_flags=(*policy_flags, *worker_flags),
        listener_port=0 if once else free_port((LOOPBACK,), port),
        speed=speed or (10.0 if once else 1.0),
    )
    with console.status("starting pods, picker and Envoy"):
        stack = await LocalStack(plan).__aenter__()
    try:
        pages = ", ".join(picker.url for picker in stack.pickers)
        console.print(f"Envoy listens on {stack.url}, the picker's pages are at {pages}", soft_wrap=True)
        console.print(f"the objects are in {stack.home.place}", soft_wrap=True)
        if once:
            return await _once(stack, console, options)
        for line in (curl_line(stack.url), *stack.home.hints(stack.picker.url)):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
        await run_live(stack, console, rate_per_s=options["rate"], seed=options["seed"])
    finally:
        await stack.stop()
    return True


async def _once(stack: Any, console: Any, options: dict[str, Any]) -> bool:
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    from epp.lab.once import OncePlan, run_once
    from epp.lab.report import render_verdict

    plan = OncePlan(
        requests=options["requests"],
        concurrency=options["concurrency"],
        kill_picker=options["kill_picker"],
        seed=options["seed"],
    )
    with Progress(TextColumn("requests"), MofNCompleteColumn(), console=console, transient=True) as progress:
        task = progress.add_task("requests", total=plan.requests)
        verdict = await run_once(stack, plan, lambda _: progress.advance(task))
    console.print(render_verdict(verdict))
    return not verdict.problems
