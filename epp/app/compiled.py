"""Whether the modules of a request's path run compiled (docs/compiled.md)."""

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import epp


def is_compiled() -> bool:
    """As Python would choose: a library beside a source comes first."""
    beside = Path(epp.__file__).parent / "core" / "state"
    return any((beside / f"block_hashes{suffix}").exists() for suffix in EXTENSION_SUFFIXES)
