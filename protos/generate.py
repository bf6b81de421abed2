"""Compiles protos/*.proto with grpcio-tools into epp/_pb, with imports that stay inside that package."""

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent
OUTPUT = PROTOS.parent / "epp" / "_pb"
SIBLING_IMPORT = re.compile(r"^import (\w+_pb2) as", re.MULTILINE)


def generate(output: Path = OUTPUT) -> list[Path]:
    """Writes one `<name>_pb2.py` and `.pyi` per .proto file, returns the paths; raises SystemExit when protoc fails."""
    sources = sorted(PROTOS.glob("*.proto"))
    output.mkdir(parents=True, exist_ok=True)
    arguments = ["protoc", f"--proto_path={PROTOS}", f"--proto_path={files('grpc_tools') / '_proto'}"]
    arguments += [f"--python_out={output}", f"--pyi_out={output}", *(str(source) for source in sources)]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc refused the files in protos/; its message is above")
    (output / "__init__.py").write_text('"""Generated from protos/ by protos/generate.py; do not edit."""\n')
    written = []
    for source in sources:
        for suffix in (".py", ".pyi"):
            path = output / f"{source.stem}_pb2{suffix}"
            path.write_text(SIBLING_IMPORT.sub(r"from epp._pb import \1 as", path.read_text()))
            written.append(path)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{path.relative_to(PROTOS.parent)}\n" for path in generate() if path.suffix == ".py")
