"""Folders that lie beside the package in a checkout and inside it in an installed wheel."""

from pathlib import Path

import epp


class ShippedFileError(Exception):
    """A file that belongs to this software is not there."""


def shipped_folder(name: str, *, holding: str) -> Path:
    """The folder `name`, recognised by the file `holding` (a path in it); raises ShippedFileError.

    The wheel has it as `epp/_name`, see force-include in pyproject.toml.
    """
    package = Path(epp.__file__).parent
    # A folder of that name beside an installed package is somebody else's, hence the question for our file.
    places = (package.parent / name, package / f"_{name}")
    for folder in places:
        if (folder / holding).is_file():
            return folder
    raise ShippedFileError(f"{holding} is neither in {places[0]} nor in {places[1]}")
