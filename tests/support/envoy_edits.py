"""Last words on Envoy's configuration, for tests that need another one than users copy."""

import copy

from epp.lab.envoy_parts import Config


def with_ext_procs(config: Config, **settings: object) -> Config:
    """Sets fields of every ext_proc filter."""
    changed = copy.deepcopy(config)
    found = _ext_procs(changed)
    assert found
    for filter_config in found:
        filter_config.update(settings)
    return changed


def patient(config: Config) -> Config:
    """Waits long for the picker's word: a busy machine is not what the test is about."""
    return with_ext_procs(config, message_timeout="30s")


def _ext_procs(part: object) -> list[Config]:
    if isinstance(part, dict):
        own = [part] if "failure_mode_allow" in part else []
        return [*own, *(found for inner in part.values() for found in _ext_procs(inner))]
    return [found for inner in part for found in _ext_procs(inner)] if isinstance(part, list) else []
