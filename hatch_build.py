"""Compiles the modules of a request's path into the wheel when EPP_COMPILE=1 is set (docs/compiled.md).

A build hook of hatchling, named in pyproject.toml together with the modules. mypyc makes one C library of all of them,
so that they call each other directly, and a small one beside each module that Python imports in its place. The sources
stay in the wheel. Without the variable the wheel is pure Python; editable installations always are.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "EPP_COMPILE"
GROUP = "epp"
"""of the library: epp__mypyc"""


class CompiledModules(BuildHookInterface[Any]):
    """See the module."""

    _made: "TemporaryDirectory[str] | None" = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before the wheel is packed; raises what mypyc or the C compiler has to say."""
        if version == "editable" or os.environ.get(SWITCH, "") in ("", "0"):
            return
        self._made = TemporaryDirectory(prefix="epp-compiled-")
        home = Path(self._made.name)
        for library in _compiled(Path(self.root), self.config["modules"], home):
            build_data["force_include"][str(library)] = str(library.relative_to(home / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """The wheel is packed."""
        if self._made is not None:
            self._made.cleanup()


def _compiled(root: Path, modules: list[str], home: Path) -> list[Path]:
    """The libraries, below home/lib where they belong below the root of the wheel."""
    from mypyc.build import mypycify  # noqa: PLC0415  a wheel without compiled modules needs neither of the two
    from setuptools import Distribution  # type: ignore[import-untyped]  # noqa: PLC0415

    cwd = Path.cwd()
    os.chdir(root)  # module names follow from the paths, and mypy reads pyproject.toml here
    try:
        extensions = mypycify(
            [f"--cache-dir={home / 'mypy'}", *modules],
            opt_level="3",
            debug_level="0",
            group_name=GROUP,
            target_dir=str(home / "c"),
        )
        command = Distribution({"name": "endpoint-picker", "ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(home / "lib"), str(home / "o")
        command.parallel = os.cpu_count()
        command.ensure_finalized()
        command.run()
    finally:
        os.chdir(cwd)
    return sorted((home / "lib").rglob("*.so"))
