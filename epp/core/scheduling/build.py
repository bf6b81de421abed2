"""Settings in, policy out: makes every plugin that a configuration uses, each once."""

import msgspec

from epp.core.config.settings import PickerConfig, ProfileSettings
from epp.core.scheduling.catalogue import BUILDERS, Plugin
from epp.core.scheduling.plugins import Filter, Picker, Producer, ProfileHandler, Scorer
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.scheduler import NOTHING_MADE, MadePlugin, NamedProducer, Policy
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

    def _get(self, name: str) -> Plugin:
        if name not in self.made:
            settings = msgspec.structs.replace(self._config.plugin(name), line=None)
            former = self._former.get(name)
            if former is not None and former.settings == settings:
                self.made[name] = former
            else:
                self.made[name] = MadePlugin(settings, BUILDERS[settings.type](settings, self._session_key))
        plugin: Plugin = self.made[name].plugin
        return plugin


def _profile(settings: ProfileSettings, instances: Instances) -> Profile:
    return Profile(
        name=settings.name,
        filters=tuple(NamedFilter(name, instances.filter(name)) for name in settings.filters),
        scorers=tuple(
            WeightedScorer(scorer.name, instances.scorer(scorer.name), scorer.weight) for scorer in settings.scorers
        ),
        picker=instances.picker(settings.picker),
    )
