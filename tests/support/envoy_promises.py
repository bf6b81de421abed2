"""Writes docs/envoy-modes.md: what holds between Envoy and the picker, one sentence per test that proves it.

python -m tests.support.envoy_promises --write
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "envoy-modes.md"
HEAD = """# Envoy and the picker: what holds

Each line is the name of a test with a real Envoy (`tests/envoy`); this page is written from them by
`python -m tests.support.envoy_promises --write`.

| | buffered (`envoy/envoy.yaml`) | full-duplex (`envoy/full-duplex.yaml`) |
|---|---|---|
| request body | one message, dropped here once read | streamed through the picker and back, whole |
| the picker dies | requests go on unpicked (`failure_mode_allow`) | requests with a body fail with 503 |
| the picker hangs | Envoy goes on after message_timeout (2 s) | Envoy waits: the picker has a deadline of its own |
| response body | not shown (`NONE`), one in 16 is looked into | passes through the picker chunk by chunk |
| cost | least | two more copies of every body, a message per chunk |

`envoy/fail-close.yaml` refuses unpicked requests with 503 by a pair of routes; `failure_mode_allow` stays true there,
because false would cut every answer that is still streaming when the picker ends.
"""


def sentence(name: str) -> str:
    """`test_it_is_so` as "It is so"."""
    words = name.removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:]


def section(path: Path) -> str:
    """A module's docstring, with a line per test."""
    module = ast.parse(path.read_text())
    docstring = (ast.get_docstring(module) or path.stem).splitlines()[0]
    tests = [
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return "\n".join([f"## {docstring.rstrip('.')}", "", *(f"- {sentence(name)}." for name in tests), ""])


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(path) for path in sorted((ROOT / "tests" / "envoy").glob("test_*.py")))])


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())
