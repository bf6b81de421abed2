"""Where the pool comes from: exactly one place, and a message when it is none or two."""

from pathlib import Path

import pytest

from epp.app.flag import FlagError
from epp.app.object_source import ObjectsFrom, objects_from, open_files, waiting_for
from epp.app.options import ServeOptions, parse_flags
from epp.core.config.load import default_config, load_config
from epp.core.config.settings import PickerConfig
from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectState
from epp.core.scheduling.catalogue import CATALOGUE
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.file_discovery import FileDiscovery
from epp.edge.objects.findings import Notice
from tests.support.object_yaml import documents, pod_yaml, pool_yaml

DISCOVERY = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: %s}}
dataLayer: {discovery: {pluginRef: file-discovery}}
"""


class Heard:
    """ObjectSink and the two ears for findings."""

    def __init__(self) -> None:
        self.states: list[ObjectState] = []
        self.problems: list[InvalidInput] = []
        self.notices: list[Notice] = []

    def objects_changed(self, state: ObjectState) -> None:
        self.states.append(state)


def options_of(**given: object) -> ServeOptions:
    return parse_flags({name.replace("_", "-"): str(text) for name, text in given.items()}, {})


def polled(options: ServeOptions, config: PickerConfig) -> Heard:
    """What is heard of the first look at the source."""
    heard = Heard()
    objects_from(options, config)
    source = open_files(options, config, heard, heard.problems.append, heard.notices.append)
    source.poll_once()
    assert list(source.problems) == heard.problems
    return heard


def discovery(path: Path) -> PickerConfig:
    return load_config(DISCOVERY % path, "picker.yaml", CATALOGUE)


def test_a_directory_of_objects(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(documents(pool_yaml(), pod_yaml("a", "10.0.0.1")))
    heard = polled(options_of(objects=tmp_path), default_config(CATALOGUE))

    (state,) = heard.states
    assert state.pool is not None
    assert state.pool.name == "pool"
    assert [endpoint.destination for endpoint in state.endpoints] == ["10.0.0.1:8000"]


def test_the_flags_choose_among_several_pools(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(
        documents(pool_yaml("one", namespace="default"), pool_yaml("two", namespace="other"))
    )

    for given, name in (({"pool_name": "one"}, "one"), ({"pool_namespace": "other"}, "two")):
        (state,) = polled(options_of(objects=tmp_path, **given), default_config(CATALOGUE)).states
        assert state.pool is not None
        assert state.pool.name == name

    heard = polled(options_of(objects=tmp_path), default_config(CATALOGUE))
    assert heard.states == []
    assert "--pool-name" in str(heard.problems[0])


def test_the_group_of_the_pool(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(pool_yaml())
    heard = polled(options_of(objects=tmp_path, pool_group="another.group"), default_config(CATALOGUE))
    assert heard.states == []


def test_the_file_of_a_file_discovery_plugin(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.yaml"
    path.write_text("endpoints: [{name: a, address: 10.0.0.1, port: 8000}]\n")
    config = discovery(path)

    (state,) = polled(options_of(), config).states
    assert state.pool is not None
    assert (state.pool.namespace, state.pool.name) == ("default", "epp")
    assert [endpoint.destination for endpoint in state.endpoints] == ["10.0.0.1:8000"]

    (state,) = polled(options_of(pool_name="mine", pool_namespace="here"), config).states
    assert state.pool is not None
    assert (state.pool.namespace, state.pool.name) == ("here", "mine")


def test_no_source_at_all_is_refused_with_the_ways_to_give_one() -> None:
    with pytest.raises(FlagError, match=r"--pool-name NAME .*--objects PATH .*file-discovery") as raised:
        objects_from(options_of(), default_config(CATALOGUE))
    assert raised.value.flag == "pool-name"


def test_a_pool_without_files_is_one_of_a_cluster() -> None:
    for given in ({"pool_name": "p"}, {"endpoint_selector": "a=b", "endpoint_target_ports": 8000}):
        assert objects_from(options_of(**given), default_config(CATALOGUE)) is ObjectsFrom.API_SERVER
    with pytest.raises(FlagError, match="no files were named"):
        open_files(options_of(pool_name="p"), default_config(CATALOGUE), Heard(), print, print)


def test_what_needs_a_cluster_is_refused_with_file_discovery(tmp_path: Path) -> None:
    for given, flag in (
        ({"ha_enable_leader_election": True}, "ha-enable-leader-election"),
        ({"metrics_bind_address": "0.0.0.0"}, "metrics-bind-address"),
    ):
        with pytest.raises(FlagError) as raised:
            objects_from(options_of(**given), discovery(tmp_path / "endpoints.yaml"))
        assert raised.value.flag == flag


def test_two_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlagError, match=r"picker\.yaml has a file-discovery plugin: .* one place only"):
        polled(options_of(objects=tmp_path), discovery(tmp_path / "endpoints.yaml"))


def test_the_kind_of_source(tmp_path: Path) -> None:
    heard = Heard()
    for options, config, kind in (
        (options_of(objects=tmp_path), default_config(CATALOGUE), ObjectDirectory),
        (options_of(), discovery(tmp_path / "endpoints.yaml"), FileDiscovery),
    ):
        source = open_files(options, config, heard, heard.problems.append, heard.notices.append)
        assert isinstance(source, kind)


def test_what_the_picker_waits_for_names_the_place_and_the_pool() -> None:
    default = default_config(CATALOGUE)
    assert waiting_for(options_of(objects="pool/"), default) == "no InferencePool (the only one) found yet in pool"
    assert waiting_for(options_of(objects="pool/", pool_name="p"), default) == "no InferencePool (p) found yet in pool"
    assert waiting_for(options_of(), discovery(Path("e.yaml"))) == "no endpoints read yet from e.yaml"
    assert waiting_for(options_of(pool_name="p"), default) == "no InferencePool (p) read yet from the API server"
    selector = options_of(endpoint_selector="app=x", endpoint_target_ports=8000)
    assert waiting_for(selector, default) == "the pods with app=x are not read yet from the API server"
