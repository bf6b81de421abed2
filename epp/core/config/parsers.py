"""`requestHandler.parsers`, or the deprecated `parser`: who reads request bodies."""

from epp.core.config.catalogue import PluginKind
from epp.core.config.plugins import PluginTable
from epp.core.config.sections import PluginRef, RequestHandlerSection
from epp.core.config.structure import read_at, value_at
from epp.core.yaml import Path


def read_parsers(table: PluginTable) -> tuple[str, ...]:
    """Names of the parser plugins in order; empty when the file does not say."""
    findings = table.findings
    single = read_at(("parser",), PluginRef, findings)
    handler = read_at(("requestHandler",), RequestHandlerSection, findings)
    if single is not None and value_at(("requestHandler", "parsers"), findings) is not None:
        findings.mistake(("parser",), "the file also has `requestHandler.parsers`", "remove `parser`")
    references: list[tuple[Path, str]] = [] if single is None else [(("parser", "pluginRef"), single.plugin_ref)]
    for index, parser in enumerate(handler.parsers if handler else ()):
        references.append((("requestHandler", "parsers", index, "pluginRef"), parser.plugin_ref))
    found = [table.refer(path, name, PluginKind.PARSER) for path, name in references]
    return tuple(declared.settings.name for declared in found if declared is not None)
