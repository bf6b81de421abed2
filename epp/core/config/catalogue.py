"""What a plugin type is to the configuration. Which types exist is said elsewhere and handed in as a Catalogue."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec

NOTHING: Mapping[str, str] = {}


class PluginKind(Enum):
    """Where in the configuration a plugin may be referred to; the value is the word used in messages."""

    FILTER = "filter"
    SCORER = "scorer"
    PICKER = "picker"
    PROFILE_HANDLER = "profile handler"
    DECIDER = "decider"
    PRODUCER = "producer"
    DATA_SOURCE = "data source"
    EXTRACTOR = "extractor"
    DISCOVERY = "discovery"
    PARSER = "parser"
    REQUEST_HEADER_PROCESSOR = "request header processor"
    SCREENER = "screener"
    ADMITTER = "admitter"
    RESPONSE_HEADER_PROCESSOR = "response header processor"
    REPORTER = "reporter"
    SATURATION_DETECTOR = "saturation detector"
    FAIRNESS_POLICY = "fairness policy"
    ORDERING_POLICY = "ordering policy"
    USAGE_LIMIT_POLICY = "usage limit policy"
    EVICTION_POLICY = "eviction policy"
    REQUEST_HEADERS = "writer of request headers"


PROFILE_KINDS = frozenset((PluginKind.FILTER, PluginKind.SCORER, PluginKind.PICKER))


class Stability(Enum):
    """How much a type may still change."""

    ALPHA = "alpha"
    BETA = "beta"


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a type that takes none."""


class Need(msgspec.Struct, frozen=True):
    """A producer that a plugin consumes."""

    field: str
    """attribute of the consumer's parameters that may name the producer"""
    type: str
    """type that the producer must have"""
    created_with: msgspec.Struct | None = None
    """parameters of the producer that is made when none is declared; None: do without"""
    takes_any: bool = False
    """content with a producer that was made for another consumer, whatever its parameters"""
    or_type: str = ""
    """another type that will do: when it is named, or declared where the first one is not"""
    or_named: str = ""
    """another type that will do when it is named"""


class Reference(msgspec.Struct, frozen=True):
    """Something that the parameters of a profile handler name."""

    path: tuple[str, ...]
    """where, below the parameters"""
    name: str
    kind: PluginKind | None = None
    """of the plugin that is named; None: a scheduling profile"""
    is_optional: bool = False
    """it need not be there"""


def no_needs(parameters: Any) -> tuple[Need, ...]:  # noqa: ARG001  the shape of PluginType.needs
    """Of a type that consumes nothing."""
    return ()


class PluginType(msgspec.Struct, frozen=True):
    """One type: `parameters` is a frozen struct that forbids unknown fields and has a default for every field that a
    user may leave out."""

    name: str
    kinds: frozenset[PluginKind]
    parameters: type[msgspec.Struct] = NoParameters
    aliases: tuple[str, ...] = ()
    """deprecated names"""
    stability: Stability = Stability.BETA
    needs: Callable[[Any], tuple[Need, ...]] = no_needs
    """from the parameters to the producers that are consumed"""
    references: Callable[[Any], tuple[Reference, ...]] | None = None
    """of a profile handler that runs only the profiles that its parameters name: what they refer to"""
    attribute_field: str = ""
    """attribute of the parameters that names an endpoint attribute"""
    runs_unasked: bool = False
    """a producer that works as soon as it is declared, whether or not another plugin consumes it"""
    deprecated: str = ""
    """what to use in its place; becomes a notice"""
    ignores_parameters: bool = False
    """given parameters are a notice and no mistake, where the reference ignores them and files rely on it"""
    most_profiles: int | None = None
    """of a profile handler: how many profiles it can serve, None for any number"""
    without_effect: str = ""
    """why declaring it changes nothing yet; becomes a notice"""
    inert_fields: Mapping[str, str] = {}
    """parameters, at any depth, that change nothing yet, and why; each becomes a notice where it is given"""

    @property
    def kind_words(self) -> str:
        """`filter` or `filter and scorer`."""
        return " and ".join(kind.value for kind in PluginKind if kind in self.kinds)


class Catalogue:
    """The types that exist, by name and by deprecated name."""

    def __init__(self, types: Iterable[PluginType]) -> None:
        self.types: tuple[PluginType, ...] = tuple(types)
        names = [name for plugin in self.types for name in (plugin.name, *plugin.aliases)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"plugin types listed twice: {', '.join(twice)}")
        self._by_name: Mapping[str, PluginType] = {
            name: plugin for plugin in self.types for name in (plugin.name, *plugin.aliases)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Current names, without the deprecated ones."""
        return tuple(plugin.name for plugin in self.types)

    def find(self, name: str) -> PluginType | None:
        """The type of that name or deprecated name."""
        return self._by_name.get(name)

    def __getitem__(self, name: str) -> PluginType:
        return self._by_name[name]
