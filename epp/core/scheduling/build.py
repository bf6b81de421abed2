"""Settings in, policy out: makes every plugin that a configuration uses, each once."""

import msgspec

from epp.core.config.settings import PickerConfig, PluginSettings, ProfileSettings, RequestControlSettings
from epp.core.scheduling.built_in import Plugin
from epp.core.scheduling.catalogue import BUILDERS
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
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.request_control import NamedProducer, NamedScreener, RequestControl
from epp.core.scheduling.scheduler import NOTHING_MADE, MadePlugin, Policy
from epp.core.scheduling.session_token import NO_KEY, SessionKey


def build_policy(config: PickerConfig, session_key: SessionKey = NO_KEY, former: Policy | None = None) -> Policy:
    """The policy of a configuration that was loaded with this package's catalogue.

    Its plugins remember nothing yet, except those that `former` has with the same name and settings: they are taken
    over with all that they have learned. `session_key`: see `epp.core.scheduling.session_token`.
    """
    instances = Instances(config, session_key, former)
    return Policy(
        profiles=tuple(_profile(profile, instances) for profile in config.profiles),
        handler=instances.handler(config.handler),
        producers=tuple(
            NamedProducer(name, instances.producer(name)) for name in config.producers if instances.can_make(name)
        ),
        control=_request_control(config.request_control, instances),
        made=instances.made,
    )


class Instances:
    """The plugins of one policy by name, made at their first use and shared by every profile that names them."""

    def __init__(self, config: PickerConfig, session_key: SessionKey = NO_KEY, former: Policy | None = None) -> None:
        self._config = config
        self._session_key = session_key
        self._former = former.made if former else NOTHING_MADE
        self.made: dict[str, MadePlugin] = {}

    def can_make(self, name: str) -> bool:
        """False for a plugin that is only settings, whose work is done elsewhere."""
        return self._config.plugin(name).type in BUILDERS

    def filter(self, name: str) -> Filter:
        """Raises TypeError, as the others do, when the plugin is no such thing."""
        plugin = self._get(name)
        if isinstance(plugin, Filter):
            return plugin
        raise TypeError(f"plugin {name!r} is no filter")

    def scorer(self, name: str) -> Scorer:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Scorer):
            return plugin
        raise TypeError(f"plugin {name!r} is no scorer")

    def picker(self, name: str) -> Picker:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Picker):
            return plugin
        raise TypeError(f"plugin {name!r} is no picker")

    def producer(self, name: str) -> Producer:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Producer):
            return plugin
        raise TypeError(f"plugin {name!r} is no producer")

    def handler(self, name: str) -> ProfileHandler:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, ProfileHandler):
            return plugin
        raise TypeError(f"plugin {name!r} is no profile handler")

    def decider(self, name: str) -> Decider:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Decider):
            return plugin
        raise TypeError(f"plugin {name!r} is no decider")

    def _make(self, settings: PluginSettings) -> Plugin:
        return BUILDERS[settings.type](settings, self._session_key, self.decider)

    def request_header_processor(self, name: str) -> RequestHeaderProcessor:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, RequestHeaderProcessor):
            return plugin
        raise TypeError(f"plugin {name!r} is no request header processor")

    def screener(self, name: str) -> Screener:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Screener):
            return plugin
        raise TypeError(f"plugin {name!r} is no screener")

    def admitter(self, name: str) -> Admitter:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Admitter):
            return plugin
        raise TypeError(f"plugin {name!r} is no admitter")

    def response_header_processor(self, name: str) -> ResponseHeaderProcessor:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, ResponseHeaderProcessor):
            return plugin
        raise TypeError(f"plugin {name!r} is no response header processor")

    def reporter(self, name: str) -> Reporter:
        """See `filter`."""
        plugin = self._get(name)
        if isinstance(plugin, Reporter):
            return plugin
        raise TypeError(f"plugin {name!r} is no reporter")

    def _get(self, name: str) -> Plugin:
        if name not in self.made:
            settings = msgspec.structs.replace(self._config.plugin(name), line=None)
            former = self._former.get(name)
            # A profile handler remembers nothing, and holds deciders that may have changed.
            is_same = former is not None and former.settings == settings
            if former is not None and is_same and not isinstance(former.plugin, ProfileHandler):
                self.made[name] = former
            else:
                self.made[name] = MadePlugin(settings, self._make(settings))
        plugin: Plugin = self.made[name].plugin
        return plugin


def _request_control(settings: RequestControlSettings, instances: Instances) -> RequestControl:
    return RequestControl(
        tuple(instances.request_header_processor(name) for name in settings.request_header_processors),
        tuple(NamedScreener(name, instances.screener(name)) for name in settings.screeners),
        tuple(instances.admitter(name) for name in settings.admitters),
        tuple(instances.response_header_processor(name) for name in settings.response_header_processors),
        tuple(instances.reporter(name) for name in settings.reporters),
    )


def _profile(settings: ProfileSettings, instances: Instances) -> Profile:
    return Profile(
        name=settings.name,
        filters=tuple(NamedFilter(name, instances.filter(name)) for name in settings.filters),
        scorers=tuple(
            WeightedScorer(scorer.name, instances.scorer(scorer.name), scorer.weight) for scorer in settings.scorers
        ),
        picker=instances.picker(settings.picker),
    )
