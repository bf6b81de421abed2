"""Command lines that the documentation and the help texts show are ones that `epp` takes."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from epp.app.options import parse_flags
from epp.cli.main import SUBCOMMANDS, main
from epp.cli.serve import as_written

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "envoy").glob("*.md")]


def shown_in(text: str) -> set[str]:
    """Lines that run epp, directly or through `make up ARGS=`; without comments, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    direct = re.findall(r"^ *(epp (?:serve|up|fake-vllm|lora-sync)(?: .*)?)$", joined, re.MULTILINE)
    through_make = [f"epp up {args}" for args in re.findall(r"make up ARGS=\"?([^\"\s#][^\"#]*)", joined)]
    return {line for line in direct + through_make if "(" not in line}


def documented() -> list[str]:
    found = set().union(*(shown_in(path.read_text()) for path in PAGES))
    for name in SUBCOMMANDS:
        # In help texts an explanation stands behind the command, after several blanks.
        text = CliRunner().invoke(main, [name, "--help"]).output
        found |= {re.split(r" {2,}", line)[0] for line in shown_in(text)}
    return sorted(found)


def test_every_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in documented():
        name, *words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for option in command.params:
            if isinstance(option.type, click.Path):
                monkeypatch.setattr(option.type, "exists", False)  # the files of an example are not here
        context = command.make_context(name, words)
        if name == "serve":
            parse_flags(as_written(context.params), {})


def test_there_are_some() -> None:
    lines = documented()
    assert any(line.startswith("epp serve --objects pool/") for line in lines)
    assert "epp up --once --kill-picker" in lines
