"""What a profile handler's parameters refer to: scheduling profiles and deciders."""

from collections.abc import Iterable

from epp.core.config.catalogue import PluginKind, Reference
from epp.core.config.mistakes import did_you_mean
from epp.core.config.plugins import Declared, PluginTable
from epp.core.config.settings import ProfileSettings


def resolve_references(name: str, profiles: Iterable[ProfileSettings], table: PluginTable) -> tuple[str, ...]:
    """Names of the deciders of the handler `name`; reports what is not there, and profiles that nobody runs."""
    handler = table[name]
    if handler.type.references is None:
        return ()
    references = handler.type.references(handler.settings.parameters)
    known = {profile.name for profile in profiles}
    named = [reference for reference in references if reference.kind is None]
    idle = known - {reference.name for reference in named}
    for reference in named:
        if reference.name not in known and not reference.is_optional:
            problem = f"there is no scheduling profile {reference.name!r}"
            suggestion = did_you_mean(reference.name, idle) or "add it to schedulingProfiles"
            table.findings.mistake(_path(handler, reference), problem, suggestion)
    _note_idle_profiles(handler, idle, table)
    return tuple(_deciders(handler, references, table))


def _deciders(handler: Declared, references: Iterable[Reference], table: PluginTable) -> Iterable[str]:
    for reference in references:
        if reference.kind is PluginKind.DECIDER:
            decider = table.refer(_path(handler, reference), reference.name, PluginKind.DECIDER)
            if decider is not None:
                yield decider.settings.name


def _note_idle_profiles(handler: Declared, idle: set[str], table: PluginTable) -> None:
    for profile in sorted(idle):
        text = f"{handler.type.name} never runs the profile {profile!r}: it has no decider for it, or another name"
        table.findings.notice(handler.path, text)


def _path(handler: Declared, reference: Reference) -> tuple[str | int, ...]:
    return (*handler.path, "parameters", *reference.path)
