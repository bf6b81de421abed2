"""`epp`: the list of subcommands, and how it answers what it does not know."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

import epp
from epp.cli.main import SUBCOMMANDS, main
from tests.support.compiled import IS_COMPILED


def test_help_lists_every_subcommand_with_examples() -> None:
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    for name in SUBCOMMANDS:
        assert f"\n  {name} " in shown.output
    assert "epp serve --objects pool/" in shown.output


def test_without_a_subcommand_the_help_is_shown() -> None:
    shown = CliRunner().invoke(main, [])
    assert shown.exit_code == 2
    assert "Commands:" in shown.output


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name: str) -> None:
    for option in ("--help", "-h"):
        shown = CliRunner().invoke(main, [name, option])
        assert shown.exit_code == 0
        assert shown.output.startswith(f"Usage: main {name} [OPTIONS]")


def test_version() -> None:
    shown = CliRunner().invoke(main, ["--version"])
    assert (shown.exit_code, shown.output) == (
        0,
        f"epp, version {epp.__version__}{', compiled' if IS_COMPILED else ''}\n",
    )


def test_an_unknown_subcommand() -> None:
    shown = CliRunner().invoke(main, ["sreve"])
    assert shown.exit_code == 2
    assert "No such command 'sreve'" in shown.output


def test_the_package_runs_as_a_module_and_help_imports_no_server() -> None:
    modules = "import sys; sys.argv[1:] = ['--help']\ntry: import epp.__main__\nexcept SystemExit: print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", modules], capture_output=True, text=True, check=True, timeout=30)
    assert "Usage: epp [OPTIONS] COMMAND" in shown.stdout
    loaded = shown.stdout.splitlines()[-1].split()
    assert "epp.cli.main" in loaded
    assert not {"grpc", "aiohttp", "numpy", "epp.app.serve"} & set(loaded)
