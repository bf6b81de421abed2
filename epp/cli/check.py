"""`epp check`: says what is wrong with configuration files, or what they resolve to."""

import sys
from pathlib import Path

import click

from epp.core.config.built_in_policies import POLICIES


@click.command("check", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("files", nargs=-1, metavar="FILE...", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--policy", type=click.Choice(tuple(POLICIES)), help="Show a built-in policy instead of files.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing of files that are in order.")
def command(files: tuple[Path, ...], *, policy: str | None, quiet: bool) -> None:
    """Check EndpointPickerConfig files: every mistake with its line, else the policy that the picker would run.

    Ends with exit code 1 when any file has a mistake; `-` reads standard input.

    \b
    Examples:
      epp check picker.yaml
      epp check -q config/*.yaml          in CI: only mistakes, and the exit code
      epp check --policy expected-cost    what applies without a configuration
      kubectl get cm epp -o jsonpath='{.data.picker\\.yaml}' | epp check -
    """
    from epp.core.config.describe import describe
    from epp.core.config.load import built_in_policy, load_config
    from epp.core.config.mistakes import ConfigurationError
    from epp.core.domain.errors import InvalidInput
    from epp.core.scheduling.catalogue import CATALOGUE

    if bool(files) == (policy is not None):
        raise click.UsageError("give files, or --policy")
    if policy is not None:
        click.echo(POLICIES[policy] + "\n".join(f"# {line}" for line in describe(built_in_policy(policy, CATALOGUE))))
        return
    wrong = 0
    for path in files:
        source = "standard input" if str(path) == "-" else str(path)
        try:
            text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
            config = load_config(text, source, CATALOGUE)
        except OSError as error:
            click.echo(f"{source}: cannot be read: {error.strerror}", err=True)
            wrong += 1
        except (ConfigurationError, InvalidInput) as error:
            click.echo(str(error), err=True)
            wrong += 1
        else:
            if not quiet:
                click.echo(f"{source}: in order")
                click.echo("\n".join(f"  {line}" for line in describe(config)))
    if wrong:
        click.echo(f"{wrong} of {len(files)} files cannot be used", err=True)
        sys.exit(1)
