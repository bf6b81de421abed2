"""Settings in, policy out: makes every plugin that a configuration uses, each once."""

from typing import TypeVar, cast

from epp.core.config.settings import PickerConfig, ProfileSettings
from epp.core.scheduling.catalogue import BUILDERS, Plugin
from epp.core.scheduling.plugins import Filter, Picker, Producer, ProfileHandler, Scorer
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.scheduler import NamedProducer, Policy


def build_policy(config: PickerConfig) -> Policy:
    """The policy of a configuration that was loaded with this package's catalogue; new plugins with empty memories."""
    plugins: dict[str, Plugin] = {}
    names = [name for profile in config.profiles for name in profile.plugin_names]
    for name in (*config.producers, *names, config.handler):
        settings = config.plugin(name)
        if name not in plugins and settings.type in BUILDERS:
            plugins[name] = BUILDERS[settings.type](settings)
    return Policy(
        profiles=tuple(_profile(profile, plugins) for profile in config.profiles),
        handler=_as(ProfileHandler, config.handler, plugins),
        producers=tuple(
            NamedProducer(name, _as(Producer, name, plugins)) for name in config.producers if name in plugins
        ),
    )
