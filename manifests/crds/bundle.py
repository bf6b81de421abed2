"""Writes what follows from the CRD files of this folder: `python -m manifests.crds.bundle --write`.

`manifests.yaml` is all CRDs of the reference's groups in one file. The CRDs of group llm-d.ai are those of the
reference under another name.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BUNDLE = "manifests.yaml"
REFERENCE_GROUP = "inference.networking.x-k8s.io"
LLM_D_GROUP = "llm-d.ai"
LLM_D_PLURALS = ("inferenceobjectives", "inferencemodelrewrites")
_COMMAND = "python -m manifests.crds.bundle --write"


def bundled() -> list[Path]:
    """The files that the bundle is made of, in its order."""
    return sorted(FOLDER.glob("inference.networking.*.yaml"))


def rendered() -> dict[str, str]:
    """The generated files of this folder: text by name."""
    texts = {f"{LLM_D_GROUP}_{plural}.yaml": _for_llm_d(plural) for plural in LLM_D_PLURALS}
    files = bundled()
    header = f"# Generated from the files below by `{_COMMAND}`; edit those.\n"
    texts[BUNDLE] = header + "".join(f"---\n# {path.name}\n{path.read_text()}" for path in files)
    return texts


def _for_llm_d(plural: str) -> str:
    source = FOLDER / f"{REFERENCE_GROUP}_{plural}.yaml"
    text = source.read_text().replace(REFERENCE_GROUP, LLM_D_GROUP)
    annotation = "inference.networking.k8s.io/bundle-version: v1.5.0"
    if text.count(annotation) != 1:
        raise ValueError(f"{source}: expected the annotation {annotation!r} once, to put that of {LLM_D_GROUP} there")
    text = text.replace(annotation, f"{LLM_D_GROUP}/bundle-version: v0.10.0")
    return f"# Generated from {source.name}\n# by `{_COMMAND}`; edit that file.\n{text}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the generated files (--write) or print them."""
    parser = argparse.ArgumentParser(prog="python -m manifests.crds.bundle", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write them into this folder instead of printing them")
    write: bool = parser.parse_args(arguments).write
    for name, text in rendered().items():
        if write:
            (FOLDER / name).write_text(text)
        else:
            sys.stdout.write(text)


if __name__ == "__main__":
    main()
