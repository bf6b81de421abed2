"""Types of the data layer that load because users' files have them, and change nothing here."""

from epp.core.config.catalogue import NoParameters, PluginKind, PluginType
from epp.core.config.parameters import HttpSourceParameters, K8sNotificationSourceParameters

NOTIFICATION_SOURCES = frozenset(("endpoint-notification-source", "k8s-notification-source"))
"""what these tell, any plugin may want to hear: their `extractors` are of any kind"""

_NO_MODELS = "no effect: no plugin looks at the model lists of the endpoints"

WITHOUT_EFFECT: tuple[PluginType, ...] = (
    PluginType(
        "models-data-source", frozenset((PluginKind.DATA_SOURCE,)), HttpSourceParameters, without_effect=_NO_MODELS
    ),
    PluginType(
        "models-data-extractor",
        frozenset((PluginKind.EXTRACTOR,)),
        NoParameters,
        ignores_parameters=True,
        without_effect=_NO_MODELS,
    ),
    PluginType(
        "endpoint-notification-source",
        frozenset((PluginKind.DATA_SOURCE,)),
        NoParameters,
        ignores_parameters=True,
        without_effect="no effect: every plugin that follows the endpoints of the pool is told of them without it",
    ),
    PluginType(
        "k8s-notification-source",
        frozenset((PluginKind.DATA_SOURCE,)),
        K8sNotificationSourceParameters,
        without_effect="no effect: pools, pods, objectives and rewrites are followed without it, other objects not",
    ),
)
