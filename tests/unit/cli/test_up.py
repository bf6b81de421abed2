"""`epp up` as it is typed; the stack itself runs in tests/envoy."""

import pytest
from click.testing import CliRunner, Result

from epp.cli import up
from epp.cli.main import main
from epp.cli.up import command
from epp.lab.child_process import ChildError
from epp.lab.envoy_process import EnvoyNotFoundError


def typed(*words: str) -> Result:
    result = CliRunner().invoke(main, ["up", *words], prog_name="epp")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def test_help_shows_every_option_and_examples() -> None:
    shown = typed("--help")
    assert shown.exit_code == 0
    for option in command.params:
        assert option.opts[0] in shown.output
    assert "epp up --once --kill-picker" in shown.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pods", "0"], "'--pods'"),
        (["--body-mode", "telegram"], "'telegram' is not one of 'buffered', 'full-duplex'"),
        (["--failure-mode", "ajar"], "'ajar' is not one of 'open', 'close'"),
        (["--config-file", "no-such-file.yaml"], "'no-such-file.yaml' does not exist"),
        (["--requests", "1001"], "1001 is not in the range"),
        (["--policy", "best"], "'best' is not one of 'expected-cost', 'reference'"),
        (["--policy", "reference", "--config-file", __file__], "give --policy or --config-file"),
        (["--onse"], "No such option '--onse'"),
    ],
)
def test_a_wrong_command_line_ends_with_2(words: list[str], says: str) -> None:
    result = typed(*words)
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    "error", [ChildError("pods ended with exit code 1:\nlog"), EnvoyNotFoundError("no Envoy here")]
)
def test_a_stack_that_cannot_start_ends_with_1(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(**_options: object) -> bool:
        raise error

    monkeypatch.setattr(up, "_up", fail)
    result = typed("--once")
    assert (result.exit_code, result.output) == (1, f"epp up: {error}\n")


@pytest.mark.parametrize(("succeeded", "code"), [(True, 0), (False, 1)])
def test_the_verdict_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, succeeded: bool, code: int) -> None:
    async def end(**_options: object) -> bool:
        return succeeded

    monkeypatch.setattr(up, "_up", end)
    assert typed("--once").exit_code == code
