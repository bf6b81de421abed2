"""docs/lora-sync.md: its tables are what the code says, and its examples work."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from epp.cli.lora_sync import command
from epp.edge.lora.configuration import load_configuration
from epp.edge.lora.metrics import SyncMetrics
from tests.support.command_lines import parsed

PAGE = (Path(__file__).parents[3] / "docs" / "lora-sync.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table(title: str) -> list[list[str]]:
    """The cells of the only table below a title."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", row)] for row in rows]


def row(option: click.Option) -> list[str]:
    names = ", ".join(f"`{name}`" for name in option.opts)
    default = option.default
    words = (
        ""
        if default in ("", None) or option.is_flag
        else f"`{default:g}`"
        if isinstance(default, float)
        else f"`{default}`"
    )
    variable = f"`{option.envvar}`, else " if option.envvar else ""
    return [names, variable + words, option.help or ""]


def test_the_table_of_flags() -> None:
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert table("Flags") == [row(option) for option in options]


def test_the_table_of_metrics() -> None:
    families = [
        family for family in SyncMetrics(lambda: "").registry.collect() if not family.name.startswith("process_")
    ]
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in families]
    documented = [cells[0].strip("`").partition("{")[0] for cells in table("Metrics")]
    assert documented == names
    for cells, family in zip(table("Metrics"), families, strict=True):
        assert cells[1] == family.documentation


def test_the_example_of_the_file() -> None:
    config = load_configuration(EXAMPLES[0], "lora-sync.md")
    assert config.notices == ()
    assert [adapter.id for adapter in config.wanted] == ["food-review", "cad-fabricator"]
    assert config.unwanted == ("travel-tips",)


@pytest.fixture
def container() -> dict[str, Any]:
    """The side-car of the example."""
    (found,) = yaml.safe_load(EXAMPLES[1])["spec"]["initContainers"]
    assert isinstance(found, dict)
    return found


def test_the_example_of_the_pod(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    flags = parsed(container["args"])
    (mount,) = container["volumeMounts"]
    assert flags["config"].parent == Path(mount["mountPath"])
    assert "subPath" not in mount
    assert container["ports"][0]["containerPort"] == flags["metrics_port"]
    assert container["restartPolicy"] == "Always"
    assert "startupProbe" not in container
    assert {container[name]["httpGet"]["path"] for name in ("livenessProbe", "readinessProbe")} == {
        "/healthz",
        "/readyz",
    }
