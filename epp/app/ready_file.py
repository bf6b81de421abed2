"""--ready-file: tells whoever started a process that it listens, and where."""

from pathlib import Path

import msgspec

from epp.app.whole_file import replace_file
from epp.core.domain.errors import InvalidInput


def write_ready(path: Path, ports: msgspec.Struct) -> None:
    """Writes `ports` as JSON in one step, so that a reader finds all of it or nothing; raises InvalidInput."""
    try:
        replace_file(path, msgspec.json.encode(ports))
    except OSError as error:
        raise InvalidInput(str(path), f"the ready file cannot be written: {error.strerror}") from error
