"""`python -m bench.gateway` as it is typed; what it measures runs in tests/bench."""

import tempfile
from pathlib import Path

import msgspec
import pytest

from bench.gateway.__main__ import main
from bench.gateway.cases import NATIVE, SHORT, all_cases
from tests.support.bench_findings import finding, findings, usual_findings


@pytest.fixture(autouse=True)
def reports_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--quick", "--only", "--list", "--write-docs", "--from"):
        assert f"python -m bench.gateway {flag}" in shown


def test_list_names_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [case.name for case in all_cases(quick=False)]
    assert main(["--list", "--only", "idle: native: 100 "]) == 0
    assert capsys.readouterr().out.splitlines() == ["idle: native: 100 pods"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "carrier pigeon"], "no case has carrier pigeon in its name"),
        (["--write-docs", "--quick"], "--write-docs wants the whole run"),
        (["--write-docs", "--only", "idle"], "--write-docs wants the whole run"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_an_earlier_run_is_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_bytes(msgspec.json.encode(usual_findings()))
    assert main(["--from", str(earlier)]) == 0
    assert "| CPU to Envoy's, native, 0.8 KB | 0.4 | at most 0.5 | met |" in capsys.readouterr().out


def test_a_run_with_problems_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "earlier.json"
    bad = findings(finding("saturation", NATIVE, SHORT, 0.4, problems=("2 requests: status 503",)))
    earlier.write_bytes(msgspec.json.encode(bad))
    assert main(["--from", str(earlier)]) == 1
    assert "- saturation: native: 0.8 KB: 2 requests: status 503" in capsys.readouterr().out
