"""Plugins that work by being declared: they see every request, and no profile refers to them."""

from epp.core.config.catalogue import PluginKind
from epp.core.config.plugins import PluginTable
from epp.core.config.settings import RequestControlSettings


def read_request_control(table: PluginTable) -> RequestControlSettings:
    """The declared plugins of these kinds, all of which are in use."""

    def named(kind: PluginKind) -> tuple[str, ...]:
        declared = table.of_kind(kind)
        for each in declared:
            each.is_used = True
        return tuple(each.settings.name for each in declared)

    return RequestControlSettings(
        request_header_processors=named(PluginKind.REQUEST_HEADER_PROCESSOR),
        screeners=named(PluginKind.SCREENER),
        admitters=named(PluginKind.ADMITTER),
        response_header_processors=named(PluginKind.RESPONSE_HEADER_PROCESSOR),
        reporters=named(PluginKind.REPORTER),
    )
