"""What a picker does not load."""

import importlib
import subprocess
import sys

import pytest

from epp.edge.observe.left_out import left_out


def test_a_module_is_absent_for_a_while() -> None:
    sys.modules.pop("tabnanny", None)
    with left_out("tabnanny"), pytest.raises(ModuleNotFoundError):
        importlib.import_module("tabnanny")
    assert importlib.import_module("tabnanny").__name__ == "tabnanny"


def test_one_that_is_loaded_stays() -> None:
    with left_out("json"):
        assert importlib.import_module("json").dumps(1) == "1"
    assert "json" in sys.modules


def test_logs_load_no_rich_and_leave_it_to_others() -> None:
    code = "import epp.edge.observe.logs, sys; print('rich' in sys.modules); import rich; print(rich.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "rich"]
