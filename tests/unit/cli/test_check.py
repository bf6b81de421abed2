"""`epp check`: mistakes with their lines, or the resolved policy."""

from pathlib import Path

from click.testing import CliRunner

from epp.cli.main import main
from epp.core.config.built_in_policies import POLICIES

GOOD = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 3}
  - pluginRef: max-score-picker
"""


def test_a_file_in_order_is_shown_as_it_resolves(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    shown = CliRunner().invoke(main, ["check", str(path)])
    assert shown.exit_code == 0, shown.output
    assert f"{path}: in order" in shown.output
    assert "queue-scorer" in shown.output
    assert CliRunner().invoke(main, ["check", "-q", str(path)]).output == ""


def test_every_mistake_of_every_file_is_told(tmp_path: Path) -> None:
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    bad.write_text(GOOD.replace("type: queue-scorer", "type: queue-scorr").replace("weight: 3", "wieght: 3"))
    worse.write_text("a: [")
    shown = CliRunner().invoke(main, ["check", str(bad), str(worse), str(tmp_path / "missing.yaml")])
    assert shown.exit_code == 1
    assert f"{bad}:4: plugins[0].type: " in shown.output
    assert "did you mean 'queue-scorer'?" in shown.output
    assert f"{bad}:9: " in shown.output
    assert f"{worse}:" in shown.output
    assert "missing.yaml: cannot be read: No such file or directory" in shown.output
    assert "3 of 3 files cannot be used" in shown.output


def test_standard_input_is_read_too() -> None:
    assert CliRunner().invoke(main, ["check", "-"], input=GOOD).exit_code == 0
    shown = CliRunner().invoke(main, ["check", "-"], input="kind: Nothing\n")
    assert shown.exit_code == 1
    assert "standard input:" in shown.output


def test_a_built_in_policy_is_shown_as_a_file_that_is_in_order() -> None:
    for policy, text in POLICIES.items():
        shown = CliRunner().invoke(main, ["check", "--policy", policy])
        assert shown.exit_code == 0, shown.output
        assert shown.output.startswith(text)
        assert f"# built-in policy {policy}" in shown.output
        assert CliRunner().invoke(main, ["check", "-"], input=shown.output).exit_code == 0


def test_files_or_a_policy() -> None:
    for arguments in ([], ["--policy", "reference", "-"]):
        shown = CliRunner().invoke(main, ["check", *arguments], input=GOOD)
        assert shown.exit_code == 2
        assert "give files, or --policy" in shown.output
