import msgspec
import pytest

from epp.core.config.catalogue import PROFILE_KINDS, Catalogue, PluginKind, PluginType
from epp.core.scheduling.catalogue import BUILDERS, CATALOGUE


def plugin_type(name: str, *aliases: str) -> PluginType:
    return PluginType(name, frozenset((PluginKind.SCORER,)), aliases=aliases)


def test_finds_types_by_name_and_by_deprecated_name() -> None:
    catalogue = Catalogue([plugin_type("new", "old"), plugin_type("other")])

    assert catalogue.find("new") is catalogue.find("old") is catalogue["old"]
    assert catalogue.find("none") is None
    assert catalogue.names == ("new", "other")


def test_refuses_a_name_that_two_types_claim() -> None:
    with pytest.raises(ValueError, match="plugin types listed twice: old"):
        Catalogue([plugin_type("new", "old"), plugin_type("old")])


@pytest.mark.parametrize("entry", CATALOGUE.types, ids=lambda entry: entry.name)
def test_parameters_of_every_type_are_strict_frozen_and_camel_case(entry: PluginType) -> None:
    config = entry.parameters.__struct_config__

    assert config.frozen
    assert config.forbid_unknown_fields
    assert not [name for field in msgspec.structs.fields(entry.parameters) if "_" in (name := field.encode_name)]


@pytest.mark.parametrize("entry", CATALOGUE.types, ids=lambda entry: entry.name)
def test_a_type_that_a_profile_may_use_can_be_built(entry: PluginType) -> None:
    if entry.kinds & PROFILE_KINDS or PluginKind.PROFILE_HANDLER in entry.kinds:
        assert entry.name in BUILDERS
