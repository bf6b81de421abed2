"""Writes a file in one step, so that a reader finds the old content or all of the new one."""

from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` into `path` by a rename within its directory; raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
