"""The `plugins` list: which instances there are, and every reference to them."""

import msgspec

from epp.core.config.catalogue import Catalogue, PluginKind, PluginType, Stability
from epp.core.config.mistakes import Findings, did_you_mean
from epp.core.config.not_built import NOT_BUILT
from epp.core.config.sections import PluginEntry
from epp.core.config.settings import PluginSettings
from epp.core.config.structure import read, read_entries, value_at
from epp.core.yaml import Path, Step


class Declared(msgspec.Struct):
    """An instance while the configuration is being resolved."""

    settings: PluginSettings
    type: PluginType
    path: Path
    """of its entry; empty when it was filled in"""
    is_used: bool = False


class PluginTable:
    """The instances by name, in the order of the file; reports what is wrong with them and with references."""

    def __init__(self, catalogue: Catalogue, findings: Findings, *, allow_experimental: bool = True) -> None:
        self._allow_experimental = allow_experimental
        self.findings = findings
        self._catalogue = catalogue
        self._by_name: dict[str, Declared] = {}
        self._unreadable: set[str] = set()
        """names of faulty entries, so that references to them are not reported as well"""
        self._unreadable_kinds: set[PluginKind] = set()

    def __getitem__(self, name: str) -> Declared:
        return self._by_name[name]

    def read(self) -> None:
        """Takes the `plugins` list of the file."""
        good = dict(read_entries(("plugins",), PluginEntry, self.findings))
        raw = value_at(("plugins",), self.findings)
        for index, entry in enumerate(raw if isinstance(raw, list) else ()):
            path = ("plugins", index)
            if path in good:
                self._declare(path, good[path])
            elif isinstance(entry, dict):
                self._unreadable.add(str(entry.get("name") or entry.get("type")))

    def settings(self) -> tuple[PluginSettings, ...]:
        """All instances."""
        return tuple(declared.settings for declared in self._by_name.values())

    def of_kind(self, kind: PluginKind) -> list[Declared]:
        """The declared instances of a kind, in the order of the file."""
        return [declared for declared in self._by_name.values() if kind in declared.type.kinds and declared.path]

    def of_type(self, name: str) -> list[Declared]:
        """All instances of a type, declared ones first."""
        return [declared for declared in self._by_name.values() if declared.type.name == name]

    def unasked(self) -> tuple[str, ...]:
        """Names of the declared plugins that work without being referred to; they count as used."""
        found = [declared for declared in self._by_name.values() if declared.type.runs_unasked and declared.path]
        for declared in found:
            declared.is_used = True
        return tuple(declared.settings.name for declared in found)

    def first_of_type(self, name: str) -> Declared | None:
        """The first instance of a type, now in use although nothing refers to it; None when there is none."""
        first = next(iter(self.of_type(name)), None)
        if first is not None:
            first.is_used = True
        return first

    def first_of_types(self, *names: str) -> Declared | None:
        """As `first_of_type`, of the first of the types that there is."""
        return next(filter(None, map(self.first_of_type, names)), None)

    def refer(self, path: Path, name: str, *kinds: PluginKind) -> Declared | None:
        """The plugin that the reference at `path` means; None when it is undefined or of none of the `kinds`."""
        declared = self.find(path, name)
        if declared is None:
            return None
        declared.is_used = True
        if not declared.type.kinds.intersection(kinds):
            wanted = ", ".join(kind.value for kind in kinds)
            problem = f"{name!r} is of kind {declared.type.kind_words}; wanted here: {wanted}"
            self.findings.mistake(path, problem)
            return None
        return declared

    def find(self, path: Path, name: str) -> Declared | None:
        """As `refer`, of any kind, and without putting the plugin to use."""
        declared = self._by_name.get(name)
        if declared is not None and declared.path:
            return declared
        if name not in self._unreadable:
            self.findings.mistake(path, f"no plugin is named {name!r}", self._advice(name))
        return None

    def knows(self, name: str) -> bool:
        """Whether an entry of that name was declared, faulty or not."""
        return name in self._unreadable or (name in self._by_name and bool(self._by_name[name].path))

    def has_faulty(self, kind: PluginKind) -> bool:
        """Whether an entry of the kind has mistakes, so that nothing else need be said of its absence."""
        return kind in self._unreadable_kinds

    def fill_in(self, type_name: str, parameters: msgspec.Struct | None = None, *, qualifier: str = "") -> Declared:
        """Adds an instance that the file does not declare; it is named as its type, or a little longer if taken."""
        plugin_type = self._catalogue[type_name]
        name = type_name
        while name in self._by_name:
            name = f"{name}-for-{qualifier}"
        settings = PluginSettings(name, plugin_type.name, parameters or plugin_type.parameters())
        declared = Declared(settings, plugin_type, (), is_used=True)
        self._by_name[name] = declared
        return declared

    def note_idle(self) -> None:
        """Gives notice of declared plugins that change nothing."""
        for declared in self._by_name.values():
            if not declared.path:
                continue
            if declared.type.without_effect:
                self.findings.notice(declared.path, declared.type.without_effect)
            elif not declared.is_used:
                name = declared.settings.name
                self.findings.notice(declared.path, f"nothing refers to the plugin {name!r}, so it has no effect")

    def _declare(self, path: Path, entry: PluginEntry) -> None:
        name = entry.name or entry.type
        if name in self._by_name:
            line = self._by_name[name].settings.line
            where = (*path, "name") if entry.name else (*path, "type")
            self.findings.mistake(where, f"the name {name!r} is taken, by the plugin on line {line}")
            return
        plugin_type = self._catalogue.find(entry.type)
        if plugin_type is None:
            self._report_unknown((*path, "type"), entry.type)
            self._unreadable.add(name)
            return
        parameters = self._parameters(path, plugin_type, entry)
        if parameters is None:
            self._unreadable.add(name)
            self._unreadable_kinds |= plugin_type.kinds
            return
        self._note_type(path, plugin_type, entry)
        self._note_inert((*path, "parameters"), entry.parameters, plugin_type)
        line = self.findings.document.line_of(path)
        self._by_name[name] = Declared(PluginSettings(name, plugin_type.name, parameters, line), plugin_type, path)

    def _report_unknown(self, path: Path, type_name: str) -> None:
        left_out = NOT_BUILT.get(type_name)
        if left_out is not None:
            self.findings.mistake(path, left_out.problem(type_name), left_out.suggestion)
        else:
            suggestion = did_you_mean(type_name, self._catalogue.names)
            self.findings.mistake(path, f"there is no plugin type {type_name!r}", suggestion)

    def _parameters(self, path: Path, plugin_type: PluginType, entry: PluginEntry) -> msgspec.Struct | None:
        where = (*path, "parameters")
        given = {} if entry.parameters is None else entry.parameters
        if plugin_type.ignores_parameters and given:
            self.findings.notice(where, f"{plugin_type.name} takes no parameters; these have no effect")
            given = {}
        return read(given, plugin_type.parameters, where, self.findings)

    def _note_type(self, path: Path, plugin_type: PluginType, entry: PluginEntry) -> None:
        if entry.type != plugin_type.name:
            notice = f"the plugin type {entry.type!r} is deprecated; write {plugin_type.name!r}"
            self.findings.notice((*path, "type"), notice)
        if plugin_type.deprecated:
            self.findings.notice((*path, "type"), f"{plugin_type.name} is deprecated: {plugin_type.deprecated}")
        if plugin_type.stability is Stability.ALPHA and self._allow_experimental:
            self.findings.notice((*path, "type"), f"{plugin_type.name} is experimental")
        elif plugin_type.stability is Stability.ALPHA:
            problem = f"{plugin_type.name} is experimental, and experimental plugins are not allowed"
            self.findings.mistake((*path, "type"), problem, "remove it, or set --allow-experimental-plugins")

    def _note_inert(self, path: Path, value: object, plugin_type: PluginType) -> None:
        if isinstance(value, dict):
            entries: list[tuple[Step, object]] = list(value.items())
        else:
            entries = list(enumerate(value)) if isinstance(value, list) else []
        for step, inner in entries:
            if step in plugin_type.inert_fields:
                self.findings.notice((*path, step), f"no effect: {plugin_type.inert_fields[str(step)]}")
            else:
                self._note_inert((*path, step), inner, plugin_type)

    def _advice(self, name: str) -> str:
        if self._catalogue.find(name) is not None:
            return f"add `- type: {name}` to plugins"
        return did_you_mean(name, [known for known, declared in self._by_name.items() if declared.path])
