"""Folders that are shipped: beside the package, or inside it."""

from pathlib import Path

import pytest

import epp
from epp.lab.shipped_files import ShippedFileError, shipped_folder


def test_a_checkout_comes_first_then_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epp, "__file__", str(tmp_path / "epp" / "__init__.py"))
    (tmp_path / "things").mkdir()
    with pytest.raises(ShippedFileError, match=r"a/b\.yaml is neither in .*/things nor in .*/epp/_things"):
        shipped_folder("things", holding="a/b.yaml")
    for folder in (tmp_path / "epp" / "_things", tmp_path / "things"):
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "b.yaml").touch()
        assert shipped_folder("things", holding="a/b.yaml") == folder
