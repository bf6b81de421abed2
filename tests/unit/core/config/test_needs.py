"""Producers that need producers, with a catalogue made up for it."""

import msgspec
import pytest

from epp.core.config.catalogue import Catalogue, Need, PluginKind, PluginType
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.scheduling.catalogue import CATALOGUE

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


class Source(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    producer: str = ""


def plugin_type(name: str, needed: str, *, is_made: bool) -> PluginType:
    """A scorer if it is called `s`, else a producer; `needed` is the type that it needs, if any."""
    kind = PluginKind.SCORER if name == "s" else PluginKind.PRODUCER

    def needs(_parameters: Source) -> tuple[Need, ...]:
        return (Need("producer", needed, Source() if is_made else None),) if needed else ()

    return PluginType(name, frozenset((kind,)), Source, needs=needs)


def catalogue(needs: dict[str, str], *, is_made: bool) -> Catalogue:
    return Catalogue((*CATALOGUE.types, *(plugin_type(name, of, is_made=is_made) for name, of in needs.items())))


def test_a_producer_comes_after_those_that_it_needs() -> None:
    types = catalogue({"s": "a", "a": "b", "b": "c", "c": ""}, is_made=True)

    config = load_config(HEAD + "plugins:\n- type: s\n", "epp.yaml", types)

    assert config.producers == ("c", "b", "a")
    assert [config.plugin(name).needs for name in "sabc"] == [("a",), ("b",), ("c",), ()]
    assert config.plugin("a").parameters == Source(producer="b")


def test_a_circle_is_a_mistake() -> None:
    types = catalogue({"s": "a", "a": "b", "b": "a"}, is_made=False)

    with pytest.raises(ConfigurationError, match=r"epp\.yaml:6: plugins\[2\]: plugins need one another in a circle: a"):
        load_config(HEAD + "plugins:\n- type: s\n- type: a\n- type: b\n", "epp.yaml", types)


def test_what_is_not_made_and_not_declared_is_done_without() -> None:
    types = catalogue({"s": "a", "a": ""}, is_made=False)

    assert load_config(HEAD + "plugins:\n- type: s\n", "epp.yaml", types).producers == ()
