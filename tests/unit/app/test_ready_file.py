"""The file that says where a process listens."""

from pathlib import Path

import msgspec
import pytest

from epp.app.ready_file import write_ready
from epp.core.domain.errors import InvalidInput


class Ports(msgspec.Struct):
    """An example."""

    http_port: int


def test_it_is_json_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    for port in (1, 2):
        write_ready(path, Ports(port))
        assert msgspec.json.decode(path.read_bytes(), type=Ports) == Ports(port)
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "ready.json"
    with pytest.raises(InvalidInput) as refused:
        write_ready(path, Ports(1))
    assert str(refused.value) == f"{path}: the ready file cannot be written: No such file or directory"
