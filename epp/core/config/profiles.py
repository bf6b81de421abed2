"""`schedulingProfiles`: which plugins judge a request, and who chooses among the profiles.

Filled in where the file is silent, always in the same way:
- no profiles: one named `default` with every filter, scorer and picker in the order of the file, weight 1;
- a profile without a picker: the first picker of the file, else max-score-picker;
- one profile and no handler: single-profile-handler.
"""

import math

import msgspec

from epp.core.config.catalogue import PROFILE_KINDS, PluginKind
from epp.core.config.plugins import Declared, PluginTable
from epp.core.config.sections import ProfileEntry, ProfilePluginEntry
from epp.core.config.settings import ProfileSettings, WeightedPlugin
from epp.core.config.structure import read_entries, value_at
from epp.core.yaml import Path

DEFAULT_PROFILE = "default"
DEFAULT_PICKER = "max-score-picker"
DEFAULT_HANDLER = "single-profile-handler"

_PROFILES: Path = ("schedulingProfiles",)


class Member(msgspec.Struct, frozen=True):
    """A plugin of a profile, where it is referred to."""

    path: Path
    declared: Declared
    weight: float = 1.0


def read_profiles(table: PluginTable) -> tuple[ProfileSettings, ...]:
    """The good profiles of the file, or the default one when the file has none."""
    findings = table.findings
    if not value_at(_PROFILES, findings):
        return (_default_profile(table),)
    profiles: dict[str, ProfileSettings] = {}
    for path, entry in read_entries(_PROFILES, ProfileEntry, findings):
        if entry.name in profiles:
            findings.mistake((*path, "name"), f"the profile {entry.name!r} is defined twice")
            continue
        profiles[entry.name] = _assemble(entry.name, _members(path, table), path, table)
    return tuple(profiles.values())


def choose_handler(table: PluginTable) -> str:
    """Name of the profile handler; reports several of them, and one that cannot serve the profiles."""
    profiles = value_at(_PROFILES, table.findings)
    count = len(profiles) if isinstance(profiles, list) and profiles else 1
    handlers = table.of_kind(PluginKind.PROFILE_HANDLER)
    for handler in handlers:
        handler.is_used = True
    if not handlers:
        if count > 1 and not table.has_faulty(PluginKind.PROFILE_HANDLER):
            table.findings.mistake(_PROFILES, f"{count} profiles need a profile handler; `plugins` declares none")
        return table.fill_in(DEFAULT_HANDLER, qualifier="profiles").settings.name
    first = handlers[0]
    for handler in handlers[1:]:
        problem = (
            f"there is one profile handler at most, and {first.settings.name!r} on line {first.settings.line} is it"
        )
        table.findings.mistake(handler.path, problem)
    most = first.type.most_profiles
    if most is not None and count > most:
        problem = f"{first.type.name} serves {most} profile, and schedulingProfiles has {count}"
        table.findings.mistake(first.path, problem)
    return first.settings.name


def _default_profile(table: PluginTable) -> ProfileSettings:
    members = []
    for settings in table.settings():
        declared = table[settings.name]
        if declared.type.kinds & PROFILE_KINDS:
            declared.is_used = True
            members.append(Member(declared.path, declared))
    return _assemble(DEFAULT_PROFILE, members, (), table)


def _members(path: Path, table: PluginTable) -> list[Member]:
    members: list[Member] = []
    for place, entry in read_entries((*path, "plugins"), ProfilePluginEntry, table.findings):
        declared = table.refer((*place, "pluginRef"), entry.plugin_ref, *_ordered(PROFILE_KINDS))
        _check_weight((*place, "weight"), entry, declared, table)
        if declared is None:
            continue
        if any(member.declared is declared for member in members):
            table.findings.notice(place, f"{entry.plugin_ref!r} occurs twice in this profile and counts twice")
        members.append(Member(place, declared, 1.0 if entry.weight is None else entry.weight))
    return members


def _check_weight(path: Path, entry: ProfilePluginEntry, declared: Declared | None, table: PluginTable) -> None:
    if entry.weight is None:
        return
    if declared is not None and PluginKind.SCORER not in declared.type.kinds:
        text = f"no effect: only scorers have a weight, and {entry.plugin_ref!r} is a {declared.type.kind_words}"
        table.findings.notice(path, text)
    elif not math.isfinite(entry.weight) or entry.weight < 0.0:
        table.findings.mistake(path, f"the weight is {entry.weight:g}; it must be 0 or more")


def _assemble(name: str, members: list[Member], path: Path, table: PluginTable) -> ProfileSettings:
    def named(kind: PluginKind) -> list[str]:
        return [member.declared.settings.name for member in members if kind in member.declared.type.kinds]

    scorers = tuple(
        WeightedPlugin(member.declared.settings.name, member.weight)
        for member in members
        if PluginKind.SCORER in member.declared.type.kinds
    )
    pickers = [member for member in members if PluginKind.PICKER in member.declared.type.kinds]
    for extra in pickers[1:]:
        problem = f"profile {name!r} has a picker already, {pickers[0].declared.settings.name!r}"
        table.findings.mistake(extra.path, problem, "leave one picker per profile")
    if not scorers:
        table.findings.notice(path, f"profile {name!r} has no scorer: every endpoint counts as equally good")
    picker = pickers[0].declared.settings.name if pickers else _default_picker(name, path, table)
    return ProfileSettings(name, tuple(named(PluginKind.FILTER)), scorers, picker)


def _default_picker(profile: str, path: Path, table: PluginTable) -> str:
    declared = table.of_kind(PluginKind.PICKER)
    if declared:
        first = declared[0].settings.name
        declared[0].is_used = True
        table.findings.notice(
            path, f"profile {profile!r} names no picker; the first one of the file is used, {first!r}"
        )
        return first
    filled_in = table.first_of_type(DEFAULT_PICKER) or table.fill_in(DEFAULT_PICKER, qualifier=profile)
    return filled_in.settings.name


def _ordered(kinds: frozenset[PluginKind]) -> list[PluginKind]:
    return [kind for kind in PluginKind if kind in kinds]
