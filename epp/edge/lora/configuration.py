"""Reads vLLMLoRAConfig: where the model server is, which adapters it shall serve, and which it shall not.

Names and defaults are those of the reference's syncer, so that its ConfigMaps work unchanged:

    vLLMLoRAConfig:
      host: localhost                                    # default
      port: 8000                                         # default
      name: vllm-llama3.1-8b-instruct
      defaultBaseModel: meta-llama/Llama-3.1-8B-Instruct
      ensureExist:
        models:
        - {id: food-review, source: Kawon/llama3.1-food-finetune_v14_r8, base-model: ...}
      ensureNotExist:
        models:
        - {id: cad-fabricator}
"""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from epp.core.config.mistakes import Findings, Mistake, Notice, did_you_mean
from epp.core.config.single_document import single_document
from epp.core.config.structure import Section, read
from epp.core.yaml import Path

KIND = "vLLMLoRAConfig"
OLD_REMOVAL = "toRemove"
"""named by old documentation of the reference, read by none of its versions"""
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]?")
S = TypeVar("S", bound=Section)


class Adapter(msgspec.Struct, frozen=True):
    """An adapter that shall be served as `id`, from `source` (a path or a repository) on top of `base_model`."""

    id: str
    source: str
    base_model: str = ""


class Target(msgspec.Struct, frozen=True):
    """Where the model server listens."""

    host: str = "localhost"
    port: int = 8000

    @property
    def url(self) -> str:
        """`http://host:port`, IPv6 in brackets."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class LoraConfig(msgspec.Struct, frozen=True):
    """What one file asks for."""

    source: str
    target: Target
    name: str
    wanted: tuple[Adapter, ...]
    """shall be served; in the order of the file"""
    unwanted: tuple[str, ...]
    """ids that shall not be served"""
    contested: tuple[str, ...]
    """ids in both lists, which are left as they are"""
    notices: tuple[Notice, ...]


class ServerFields(Section, frozen=True):
    """What is said of the model server."""

    host: str = "localhost"
    port: int = 8000
    name: str = ""
    default_base_model: str = ""


class WantedFields(Section, frozen=True):
    """An entry of `ensureExist.models`."""

    id: str
    source: str
    base_model: str = msgspec.field(default="", name="base-model")


class UnwantedFields(Section, frozen=True):
    """An entry of `ensureNotExist.models`; only the id counts."""

    id: str
    source: str = ""
    base_model: str = msgspec.field(default="", name="base-model")


def load_configuration(text: str | bytes, source: str, *, strict: bool = True) -> LoraConfig:
    """What `text` asks for; `source` names it in messages. Raises ConfigurationError with every mistake.

    Unknown fields are notices. Without `strict` an entry that has a mistake is left out with a notice, too.
    """
    findings = Findings(single_document(text, source, KIND))
    of_entries = Findings(findings.document)
    root = _root(findings)
    server = _server(root, findings)
    wanted = _once(_entries(root, "ensureExist", WantedFields, findings, of_entries), of_entries)
    unwanted = dict(_entries(root, "ensureNotExist", UnwantedFields, findings, of_entries))
    if strict:
        findings.mistakes += of_entries.mistakes
    else:
        findings.notices += [_left_out(mistake) for mistake in of_entries.mistakes]
    findings.raise_mistakes()
    removed = tuple(dict.fromkeys(entry.id for entry in unwanted.values()))
    asked = {entry.id for entry in wanted}
    return LoraConfig(
        source=source,
        target=Target(server.host.strip("[]"), server.port),
        name=server.name,
        wanted=tuple(
            Adapter(each.id, each.source, each.base_model or server.default_base_model)
            for each in wanted
            if each.id not in removed
        ),
        unwanted=tuple(each for each in removed if each not in asked),
        contested=tuple(each for each in removed if each in asked),
        notices=tuple(sorted((*findings.notices, *of_entries.notices), key=lambda notice: notice.line or 0)),
    )


def _root(findings: Findings) -> dict[str, Any]:
    """The fields below `vLLMLoRAConfig`."""
    document: Any = findings.document.value
    if document.get("kind") == "ConfigMap" and KIND not in document:
        problem = "this is a ConfigMap; the syncer reads the text that is in its `data`"
        findings.mistake(("kind",), problem, "mount it as a volume and name the file below it")
    elif KIND not in document:
        near = did_you_mean(next(iter(document), ""), (KIND,))
        findings.mistake((), f"the required field {KIND!r} is missing", near)
    findings.raise_mistakes()
    _known(document, (KIND,), (), findings)
    root = document[KIND]
    if root is None:
        return {}
    if not isinstance(root, dict):
        findings.mistake((KIND,), "expected a mapping")
        findings.raise_mistakes()
    fields = tuple(field.encode_name for field in msgspec.structs.fields(ServerFields))
    return _known(root, (*fields, "ensureExist", "ensureNotExist"), (KIND,), findings)


def _server(root: dict[str, Any], findings: Findings) -> ServerFields:
    given = {name: value for name, value in root.items() if name not in ("ensureExist", "ensureNotExist")}
    server = read(given, ServerFields, (KIND,), findings)
    if server is None:
        return ServerFields()
    if not _HOST.fullmatch(server.host):
        findings.mistake((KIND, "host"), f"{server.host!r} is neither a host name nor an IP address")
    if not 1 <= server.port <= 65_535:
        findings.mistake((KIND, "port"), f"{server.port} is not a TCP port (1 to 65535)")
    return server


def _entries(
    root: dict[str, Any], section: str, expected: type[S], findings: Findings, of_entries: Findings
) -> list[tuple[tuple[str | int, ...], S]]:
    """The good entries of a list, each with its path."""
    path = (KIND, section)
    given = root.get(section)
    if given is None:
        return []
    if not isinstance(given, dict):
        findings.mistake(path, "expected a mapping with the field 'models'")
        return []
    inner = _known(given, ("models",), path, findings)
    if "models" not in inner:
        findings.mistake(path, "the required field 'models' is missing")
        return []
    models = inner["models"] or []
    if not isinstance(models, list):
        findings.mistake((*path, "models"), "expected a list")
        return []
    names = tuple(field.encode_name for field in msgspec.structs.fields(expected))
    good: list[tuple[tuple[str | int, ...], S]] = []
    for index, value in enumerate(models):
        place = (*path, "models", index)
        known = _known(value, names, place, findings) if isinstance(value, dict) else value
        entry = read(known, expected, place, of_entries)
        if entry is not None and _is_filled(entry, place, of_entries):
            good.append((place, entry))
    return good


def _is_filled(entry: Section, place: Path, findings: Findings) -> bool:
    empty = [
        field.encode_name
        for field in msgspec.structs.fields(type(entry))
        if field.required and not getattr(entry, field.name).strip()
    ]
    for name in empty:
        findings.mistake((*place, name), "is empty")
    return not empty


def _once(entries: Sequence[tuple[Path, WantedFields]], findings: Findings) -> list[WantedFields]:
    """Each id once, the first entry of it."""
    found: dict[str, WantedFields] = {}
    for place, entry in entries:
        former = found.setdefault(entry.id, entry)
        if former != entry:
            findings.mistake(place, f"the adapter {entry.id!r} is there already, with another source or base model")
        elif former is not entry:
            findings.notice(place, f"the adapter {entry.id!r} is listed twice")
    return list(found.values())


def _known(value: dict[str, Any], names: tuple[str, ...], path: Path, findings: Findings) -> dict[str, Any]:
    """The fields that mean something; the others get a notice."""
    for name in value:
        if name == OLD_REMOVAL:
            advice = "to have the adapter unloaded, list it in ensureNotExist.models instead of ensureExist.models"
            findings.notice((*path, name), f"has no effect; {advice}")
        elif name not in names:
            near = did_you_mean(name, names)
            findings.notice((*path, name), f"unknown field, has no effect ({near})" if near else "unknown field")
    return {name: inner for name, inner in value.items() if name in names}


def _left_out(mistake: Mistake) -> Notice:
    return Notice(mistake.source, mistake.line, mistake.field, f"{mistake.problem}; the entry is left out")
