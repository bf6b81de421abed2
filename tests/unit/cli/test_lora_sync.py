"""`epp lora-sync` as it is typed: names and defaults are those of the reference's syncer."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from epp.app import lora_sync as syncing
from epp.app.lora_sync import LoraSyncOptions
from epp.cli.main import main
from epp.core.domain.errors import InvalidInput

DEFAULTS: dict[str, Any] = {
    "config": Path("/config/configmap.yaml"),
    "config_validation": True,
    "health_check_timeout_s": 300.0,
    "health_check_interval_s": 2.0,
    "reconcile_trigger_s": 5.0,
    "request_timeout_s": 10.0,
    "load_timeout_s": 300.0,
    "host": "",
    "port": 0,
    "metrics_address": "0.0.0.0",
    "metrics_port": 8080,
    "once": False,
    "verbosity": 2,
    "log_format": "auto",
    "ready_file": None,
}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[LoraSyncOptions]:
    """The options with which the syncer would have been started."""
    taken: list[LoraSyncOptions] = []

    async def take(options: LoraSyncOptions) -> None:
        taken.append(options)

    monkeypatch.setattr(syncing, "lora_sync", take)
    monkeypatch.delenv("DYNAMIC_LORA_ROLLOUT_CONFIG", raising=False)
    return taken


def typed(*words: str) -> Result:
    result = CliRunner().invoke(main, ["lora-sync", *words], prog_name="epp", terminal_width=110)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def changed(synced: list[LoraSyncOptions], *words: str) -> dict[str, Any]:
    """The options that are not as by default."""
    result = typed(*words)
    assert result.exit_code == 0, result.output
    options = msgspec.structs.asdict(synced.pop())
    return {name: value for name, value in options.items() if value != DEFAULTS[name]}


def test_defaults(synced: list[LoraSyncOptions]) -> None:
    assert changed(synced) == {}


def test_the_flags_of_the_reference(synced: list[LoraSyncOptions]) -> None:
    words = ["--health-check-timeout", "600", "--health-check-interval=5", "--reconcile-trigger", "10"]
    assert changed(synced, *words, "--config", "a.yaml", "--metrics-port", "9000", "--config-validation") == {
        "health_check_timeout_s": 600.0,
        "health_check_interval_s": 5.0,
        "reconcile_trigger_s": 10.0,
        "config": Path("a.yaml"),
        "metrics_port": 9000,
    }


def test_validation_can_be_switched_off(synced: list[LoraSyncOptions]) -> None:
    assert changed(synced, "--config-validation=false") == {"config_validation": False}
    assert changed(synced, "--config-validation", "true") == {}


def test_the_environment_names_the_file(synced: list[LoraSyncOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNAMIC_LORA_ROLLOUT_CONFIG", "/adapters/configmap.yaml")
    assert changed(synced) == {"config": Path("/adapters/configmap.yaml")}
    assert changed(synced, "--config=b.yaml") == {"config": Path("b.yaml")}, "a flag wins"


def test_an_ipv6_address_may_be_in_brackets(synced: list[LoraSyncOptions]) -> None:
    assert changed(synced, "--metrics-address=[::1]") == {"metrics_address": "::1"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--health-check-interval=0"], "--health-check-interval"),
        (["--health-check-timeout=-1"], "--health-check-timeout"),
        (["--reconcile-trigger=soon"], "--reconcile-trigger"),
        (["--load-timeout=0"], "--load-timeout"),
        (["--metrics-port=70000"], "--metrics-port"),
        (["--metrics-address=localhost"], "'localhost' is not an IP address"),
        (["--config-validation=maybe"], "'maybe' is not a valid boolean"),
        (["configmap.yaml"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line(synced: list[LoraSyncOptions], words: list[str], complaint: str) -> None:
    result = typed(*words)
    assert (result.exit_code, synced) == (2, [])
    assert complaint in result.output


def test_what_cannot_start_ends_with_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: LoraSyncOptions) -> None:
        raise InvalidInput("lora.yaml", "is odd", line=3)

    monkeypatch.setattr(syncing, "lora_sync", fail)
    result = typed()
    assert (result.exit_code, result.output) == (1, "epp lora-sync: lora.yaml:3: is odd\n")
