"""A good change takes over, a bad one is named and changes nothing."""

from pathlib import Path

import pytest

from epp.app.config_watch import ConfigWatch
from epp.core.config.load import load_config
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.scheduling.catalogue import CATALOGUE
from epp.edge.observe.logs import get_logger

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
QUEUE = f"{HEAD}plugins: [{{type: queue-scorer}}]\n"
LOAD = f"{HEAD}plugins: [{{type: load-aware-scorer}}]\n"


class Watched:
    """A file and what was taken over from it."""

    def __init__(self, directory: Path, text: str = QUEUE) -> None:
        self.path = directory / "epp.yaml"
        self.path.write_text(text)
        self.taken: list[PickerConfig] = []
        self.refuses: Exception | None = None
        self.watch = ConfigWatch(
            self.path, self.load(text.encode()), load=self.load, take_over=self.take, logger=get_logger("test")
        )
        self.look()

    def load(self, text: bytes) -> PickerConfig:
        return load_config(text, str(self.path), CATALOGUE)

    def take(self, config: PickerConfig) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.taken.append(config)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.look()

    def look(self) -> None:
        for _ in range(2):  # a change counts when two looks agree
            self.watch.look()

    @property
    def scorers(self) -> list[str]:
        return [profile.scorers[0].name for profile in (config.profiles[0] for config in self.taken)]


def test_what_is_in_force_already_is_not_taken_over(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert (watched.taken, watched.watch.problem) == ([], "")


def test_a_good_change_takes_over(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(LOAD)
    assert watched.scorers == ["load-aware-scorer"]
    assert watched.watch.in_force == watched.taken[0]


def test_a_mistake_is_named_and_the_former_stays(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(LOAD.replace("load-aware", "laod-aware"))
    assert watched.taken == []
    assert "epp.yaml:3: plugins[0].type: there is no plugin type 'laod-aware-scorer'" in watched.watch.problem
    watched.write(QUEUE + "# a comment\n")
    assert (watched.taken, watched.watch.problem) == ([], ""), "as it was before, so all is well again"


def test_a_plugin_that_needs_another_scrape_waits_for_the_next_start(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(
        f"{HEAD}plugins:\n- type: core-metrics-extractor\n"
        "  parameters: {engineConfigs: [{name: vllm, customMetrics: [{attributeKey: depth, metricSpec: m}]}]}\n"
        "- type: endpoint-attribute-scorer\n"
        "  parameters: {attributeKey: depth, algorithm: {type: linear_lower_is_better}}\n"
    )
    assert watched.taken == []
    assert "'depth' would be extracted from the next start on only" in watched.watch.problem


@pytest.mark.parametrize("fault", [InvalidInput("engineConfigs", "no such metric"), KeyError("a fault of ours")])
def test_what_cannot_be_put_in_force_is_not(tmp_path: Path, fault: Exception) -> None:
    watched = Watched(tmp_path)
    watched.refuses = fault
    watched.write(LOAD)
    assert watched.watch.in_force.profiles[0].scorers[0].name == "queue-scorer"
    assert str(fault) in watched.watch.problem
    watched.refuses = None
    watched.write(LOAD + "# again\n")
    assert watched.scorers == ["load-aware-scorer"]


def test_a_file_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.path.unlink()
    watched.look()
    assert (watched.taken, watched.watch.problem) == ([], f"{watched.path} is gone")


def test_what_is_decided_at_the_start_stays_until_the_next_one(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.write(f"{LOAD}featureGates: [flowControl]\ndataLayer: {{injectDefaults: false}}\n")
    assert watched.scorers == ["load-aware-scorer"]
    assert not watched.watch.in_force.gates.flow_control
    assert watched.watch.in_force.metrics is not None


def test_what_turns_out_to_be_of_no_use_is_withdrawn_until_the_file_changes_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    former = watched.watch.in_force
    watched.write(LOAD)
    watched.watch.withdraw(former, "picker process 1: restart to change it")
    assert (watched.watch.in_force, watched.watch.problem) == (former, "picker process 1: restart to change it")
    watched.look()
    assert len(watched.taken) == 1, "the same text is not tried again"
    watched.write(QUEUE)
    assert watched.watch.problem == ""
    watched.write(LOAD)
    assert watched.watch.in_force == watched.taken[-1] != former
