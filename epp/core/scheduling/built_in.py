"""What an entry of the catalogue is: a plugin type and how to make an instance of it."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from epp.core.config.catalogue import Need, PluginKind, PluginType, no_needs
from epp.core.config.settings import PluginSettings, parameters_as
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
from epp.core.scheduling.session_token import NO_KEY, SessionKey

P = TypeVar("P", bound=msgspec.Struct)

Plugin = (
    Filter
    | Scorer
    | Picker
    | Producer
    | ProfileHandler
    | Decider
    | RequestHeaderProcessor
    | Screener
    | Admitter
    | ResponseHeaderProcessor
    | Reporter
)


DeciderByName = Callable[[str], Decider]


def no_decider(name: str) -> Decider:
    """For plugins that ask none."""
    raise KeyError(name)


class Build(Protocol):
    """Makes an instance of a plugin type."""

    def __call__(
        self, settings: PluginSettings, session_key: SessionKey = NO_KEY, decider: DeciderByName = ...
    ) -> Plugin:
        """Raises TypeError for settings of another type; `session_key`: see session_token.

        `decider` finds those that the parameters of a profile handler name.
        """
        ...


class BuiltIn(msgspec.Struct, frozen=True):
    """A plugin type and how to make an instance of it from its settings."""

    type: PluginType
    build: Build


def built_in(
    name: str,
    kinds: PluginKind | tuple[PluginKind, ...],
    parameters: type[P],
    make: Callable[[str, P], Plugin],
    *,
    needs: Callable[[P], tuple[Need, ...]] = no_needs,
    **more: Any,
) -> BuiltIn:
    """An entry of BUILT_INS; `make` takes the instance's name and parameters, `more` are fields of PluginType."""

    def build(
        settings: PluginSettings,
        session_key: SessionKey = NO_KEY,  # noqa: ARG001  only sessions need it
        decider: DeciderByName = no_decider,  # noqa: ARG001  only profile handlers need it
    ) -> Plugin:
        return make(settings.name, parameters_as(parameters, settings))

    all_kinds = frozenset(kinds if isinstance(kinds, tuple) else (kinds,))
    return BuiltIn(PluginType(name, all_kinds, parameters, needs=needs, **more), build)
