"""Schemas of built-in kinds from a file of definitions."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec


class DefinitionsFile:
    """A JSON file with all definitions below `$defs` or `definitions`, as OpenAPI has them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def definitions(self) -> Mapping[str, Mapping[str, Any]]:
        """By name; raises OSError, and msgspec.DecodeError for a file of something else."""
        return _read(self._path)


@cache
def _read(path: Path) -> Mapping[str, Mapping[str, Any]]:
    whole = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    found: Mapping[str, Mapping[str, Any]] | None = whole.get("$defs") or whole.get("definitions")
    if found is None:
        raise msgspec.DecodeError(f"{path} has neither $defs nor definitions")
    return found
