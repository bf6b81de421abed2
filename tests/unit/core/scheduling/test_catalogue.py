import pytest

from epp.core.config.catalogue import PluginKind
from epp.core.config.settings import PluginSettings
from epp.core.scheduling.built_in import BuiltIn
from epp.core.scheduling.catalogue import BUILT_INS, CATALOGUE
from epp.core.scheduling.deciders.always_disagg import AlwaysDecider
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.plugins import (
    Admitter,
    Decider,
    Filter,
    Picker,
    Producer,
    ProfileHandler,
    Reporter,
    RequestHeaderProcessor,
    ResponseHeaderProcessor,
    Scorer,
    Screener,
)
from epp.core.scheduling.session_token import NO_KEY
from tests.support.plugin_examples import example_of

ELSEWHERE = frozenset((PluginKind.SATURATION_DETECTOR, PluginKind.EXTRACTOR))


def is_of(kind: PluginKind, plugin: object) -> bool:
    return {
        PluginKind.FILTER: isinstance(plugin, Filter),
        PluginKind.SCORER: isinstance(plugin, Scorer),
        PluginKind.PICKER: isinstance(plugin, Picker),
        PluginKind.PRODUCER: isinstance(plugin, Producer),
        PluginKind.PROFILE_HANDLER: isinstance(plugin, ProfileHandler),
        PluginKind.DECIDER: isinstance(plugin, Decider),
        PluginKind.REQUEST_HEADER_PROCESSOR: isinstance(plugin, RequestHeaderProcessor),
        PluginKind.SCREENER: isinstance(plugin, Screener),
        PluginKind.ADMITTER: isinstance(plugin, Admitter),
        PluginKind.RESPONSE_HEADER_PROCESSOR: isinstance(plugin, ResponseHeaderProcessor),
        PluginKind.REPORTER: isinstance(plugin, Reporter),
    }[kind]


@pytest.mark.parametrize("entry", BUILT_INS, ids=lambda entry: entry.type.name)
def test_every_type_is_built_into_what_its_kinds_promise(entry: BuiltIn) -> None:
    plugin = entry.build(
        PluginSettings("x", entry.type.name, example_of(entry.type)), NO_KEY, lambda _: AlwaysDecider()
    )

    assert entry.type.kinds
    assert all(
        is_of(kind, plugin) for kind in entry.type.kinds - {PluginKind.SATURATION_DETECTOR, PluginKind.EXTRACTOR}
    )


def test_parameters_of_another_type_are_refused() -> None:
    entry = next(entry for entry in BUILT_INS if entry.type.name == "active-request-scorer")
    with pytest.raises(TypeError, match="plugin 'x' has PickerParameters, not ActiveRequestParameters"):
        entry.build(PluginSettings("x", "active-request-scorer", PickerParameters()))


def test_every_type_of_the_first_reference_version_is_there() -> None:
    assert set(CATALOGUE.names) >= {
        "prefix-cache-scorer",
        "max-score-picker",
        "random-picker",
        "weighted-random-picker",
        "single-profile-handler",
        "kv-cache-utilization-scorer",
        "queue-scorer",
        "lora-affinity-scorer",
        "header-based-testing-filter",
    }
