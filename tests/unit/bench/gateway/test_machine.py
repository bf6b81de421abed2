"""What the machine says of itself."""

import os
import platform

from bench.gateway.machine import cpu_model, this_machine, version_in


def test_names() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU 9\n\nmodel name\t: Other\n") == "Some CPU 9"
    assert cpu_model("processor\t: 0\n") == platform.machine()
    assert version_in("\n/a/b/envoy  version: 0a1b/1.40.0/Clean/RELEASE/BoringSSL\n") == "1.40.0"
    assert version_in("something else") == "something else"


def test_this_one() -> None:
    machine = this_machine()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert machine.memory_bytes > 1 << 28
    assert machine.envoy[:1].isdigit()
