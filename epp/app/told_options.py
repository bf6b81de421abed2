"""The flags of the control process, as it tells them to its picker processes."""

from pathlib import Path
from typing import Any

import msgspec

from epp.app.options import ServeOptions


def options_written(options: ServeOptions) -> bytes:
    """As MessagePack."""
    return msgspec.msgpack.encode(options, enc_hook=_written)


def options_read(content: bytes) -> ServeOptions:
    """Raises msgspec.MsgspecError for what is none."""
    return msgspec.msgpack.decode(content, type=ServeOptions, dec_hook=_read)


def _written(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be told")


def _read(wanted: type, value: Any) -> Any:
    if wanted is Path:
        return Path(value)
    raise NotImplementedError(f"{wanted.__name__} cannot be read")
